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
        memory_mb: Most memory of the process, in 10**6 bytes; pages of mapped files count.
    """

    seconds: float
    memory_mb: float


Results = Mapping[str, Mapping[str, Figures]]
"""Workload to contender to figures."""


def table(results: Results) -> str:
    """A row for each workload, and below what the LoRA switch and the step cost by themselves, where they are known."""
    lines = [
        "| workload | ours, s | plain diffusers, s | plain / ours | ours, MB | plain, MB |",
        "| --- | ---: | ---: | ---: | ---: | ---: |",
    ]
    for name, both in results.items():
        ours, plain = both["ours"], both["plain"]
        lines.append(
            f"| {WORKLOADS[name].title} | {ours.seconds:.3f} | {plain.seconds:.3f} "
            f"| {plain.seconds / ours.seconds:.2f}× | {ours.memory_mb:,.0f} | {plain.memory_mb:,.0f} |"
        )
    return "\n".join([*lines, *_derived(results)])


def _derived(results: Results) -> list[str]:
    """What a switch adds to a picture, and what the backend adds to the bare pipeline."""
    lines = []
    if "again" in results and "lora" in results:
        ours, plain = (results["lora"][who].seconds - results["again"][who].seconds for who in ("ours", "plain"))
        lines.append(
            f"Another LoRA adds {1000 * ours:.1f} ms, a reload {1000 * plain:.1f} ms: {max(ours, 0) / plain:.1%}."
        )
    if "drawing" in results:
        over = results["drawing"]["ours"].seconds / results["drawing"]["plain"].seconds - 1
        lines.append(f"Over the bare pipeline: {over:+.1%}.")
    return ["", *lines] if lines else []
