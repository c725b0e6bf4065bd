"""The figures as Markdown tables."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from diffagent_tools.benchmarks.catalog.figures import Measured
from diffagent_tools.benchmarks.catalog.stores import CONTENDERS, OURS


@dataclass(frozen=True, slots=True)
class Column:
    """A figure of each store.

    Attributes:
        title: With its unit.
        value: None where it was not measured.
        shown: How it is written.
        compared: Whether the less the better, so that it can be divided by ours.
    """

    title: str
    value: Callable[[Measured], float | None]
    shown: str = "{:,.0f}"
    compared: bool = True


def _filled(name: str) -> Callable[[Measured], float | None]:
    return lambda measured: getattr(measured.filling, name, None)


def _searched(name: str) -> Callable[[Measured], float | None]:
    return lambda measured: getattr(measured.searching, name, None)


def _specs_per_s(measured: Measured) -> float | None:
    return measured.specs / measured.filling.build_s if measured.filling else None


COLUMNS: Final = (
    Column("build, s", _filled("build_s"), "{:,.1f}"),
    Column("specs/s", _specs_per_s, compared=False),
    Column("disk, MB", _filled("disk_mb")),
    Column("open + first search, s", _searched("first_s"), "{:.2f}"),
    Column("search p50, ms", _searched("p50_ms"), "{:,.1f}"),
    Column("p99, ms", _searched("p99_ms"), "{:,.1f}"),
    Column("queries", _searched("queries"), compared=False),
    Column("found", _searched("found"), "{:.0%}", compared=False),
    Column("upsert to found, s", _searched("upsert_s"), "{:.3f}"),
    Column("memory, MB", _searched("memory_mb")),
)


def table(results: Sequence[Measured]) -> str:
    """All figures, a row for each store; below it the ratios to ours, if ours was searched, and what was skipped."""
    lines = _table(
        "store", [column.title for column in COLUMNS], ((_title(r), _cells(r)) for r in results if r.filling)
    )
    ours = next((result for result in results if result.store == OURS), None)
    if ours is not None and ours.searching is not None:
        compared = [column for column in COLUMNS if column.compared]
        rivals = [result for result in results if result is not ours and result.searching]
        rows = ((_title(rival), [_ratio(column, rival, ours) for column in compared]) for rival in rivals)
        lines += ["", *_table("rival / ours", [column.title.split(",")[0] for column in compared], rows)]
    skipped = [f"{_title(result)} was skipped: {result.skipped}." for result in results if result.skipped]
    return "\n".join([*lines, *([""] if skipped else []), *skipped])


def _table(corner: str, titles: Sequence[str], rows: Iterable[tuple[str, Sequence[str]]]) -> list[str]:
    head = [f"| {corner} | {' | '.join(titles)} |", "| --- |" + " ---: |" * len(titles)]
    return head + [f"| {title} | {' | '.join(cells)} |" for title, cells in rows]


def _title(result: Measured) -> str:
    contender = CONTENDERS[result.store]
    return f"{contender.title} ({contender.note})"


def _cells(result: Measured) -> list[str]:
    values = [(column, column.value(result)) for column in COLUMNS]
    return ["–" if value is None else column.shown.format(value) for column, value in values]


def _ratio(column: Column, rival: Measured, ours: Measured) -> str:
    value, own = column.value(rival), column.value(ours)
    return f"{value / own:,.2f}×" if value and own else "–"
