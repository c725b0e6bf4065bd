"""The figures as Markdown."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from diffagent_tools.benchmarks.shortlist.fitting import Verdicts
from diffagent_tools.benchmarks.shortlist.scoring import CUTS, Figures
from diffagent_tools.benchmarks.shortlist.splits import Task

OURS: Final = "ours"
_COLUMNS: Final = ("MRR", *(f"recall@{cut}" for cut in CUTS), "micro MRR", "MRR ÷ best simple")


def table(results: Sequence[tuple[Task, Mapping[str, Figures]]]) -> str:
    """A row for each task and method; macro over models unless the column says otherwise.

    Args:
        results: For each task the figures by method; that which is not `OURS` is simple.
    """
    lines = [f"| split | type | method | {' | '.join(_COLUMNS)} |", "| --- | --- | --- |" + " ---: |" * len(_COLUMNS)]
    for task, by_method in results:
        best = max(figures.mrr for method, figures in by_method.items() if method != OURS)
        for method, one in by_method.items():
            values = [f"{value:.3f}" for value in (one.mrr, *one.recall, one.micro_mrr)]
            ratio = f"{one.mrr / best:.2f}×" if best else "–"
            lines.append(f"| {task.split} | {task.kind} | {method} | {' | '.join([*values, ratio])} |")
    return "\n".join(lines)


def fitting_lines(verdicts: Sequence[Verdicts]) -> list[str]:
    """How often "nothing fits" is wrong, a line for each kind of text."""
    names = {True: "misses", False: "false alarms"}
    return [f"{one.title} ({one.texts}): {1 - one.right:.1%} {names[one.fit]}" for one in verdicts]
