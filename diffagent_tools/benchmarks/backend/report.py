"""The figures as a Markdown table."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from diffagent_tools.benchmarks.backend.workloads import WORKLOADS


@dataclass(frozen=True, slots=True)
class Figures:
    """What a workload took.

    Attributes:
        seconds: Of a picture, of the batch, or of all requests.
        cpu: The processor's seconds among them.
        memory_mb: Most memory of the process, in 10**6 bytes; pages of mapped files count.
    """

    seconds: float
    cpu: float
    memory_mb: float


Results = Mapping[str, Mapping[str, Figures]]
"""Workload to contender to figures."""


def table(results: Results) -> str:
    """A row for each workload, and below what a switch of the LoRA takes beside a reload, where both are known."""
    lines = [
        "| workload | ours, s (CPU) | plain diffusers, s (CPU) | plain / ours | by CPU | ours, MB | plain, MB |",
        "| --- | ---: | ---: | ---: | ---: | ---: | ---: |",
    ]
    for name, both in results.items():
        ours, plain = both["ours"], both["plain"]
        times = " | ".join(f"{one.seconds:.3f} ({one.cpu:.3f})" for one in (ours, plain))
        ratios = f"{plain.seconds / ours.seconds:.2f}× | {plain.cpu / ours.cpu:.2f}×"
        memory = f"{ours.memory_mb:,.0f} | {plain.memory_mb:,.0f}"
        lines.append(f"| {WORKLOADS[name].title} | {times} | {ratios} | {memory} |")
    if "lora_ready" in results:
        switch, reload = (results["lora_ready"][who].seconds for who in ("ours", "plain"))
        told = f"Another LoRA takes {1000 * switch:.1f} ms, a reload {1000 * reload:.1f} ms: {switch / reload:.1%}."
        lines += ["", told]
    return "\n".join(lines)
