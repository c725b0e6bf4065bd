"""All measures of all planners on one split, each with how sure it is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from finetune.dabench.bootstrap import Interval, Values, differences, intervals
from finetune.dabench.measures import MEASURES, cases, values
from finetune.dabench.pairs import Pair
from finetune.dabench.results import Result


@dataclass(frozen=True, slots=True)
class Summary:
    """A split.

    Attributes:
        split: Its name.
        pairs: The pairs in it that were asked.
        values: By planner, the measures of each pair, (pairs, `MEASURES`).
        intervals: By planner and measure.
    """

    split: str
    pairs: tuple[Pair, ...]
    values: Mapping[str, Values]
    intervals: Mapping[str, Mapping[str, Interval]]

    @property
    def planners(self) -> tuple[str, ...]:
        """Their names, in the order in which they were asked."""
        return tuple(self.values)

    @property
    def drawable(self) -> int:
        """Pairs with a gold call."""
        return sum(pair.call is not None for pair in self.pairs)

    @property
    def drawn(self) -> bool:
        """Whether any picture was judged."""
        return any(measured["reward"].n for measured in self.intervals.values())

    def column(self, planner: str, measure: str) -> Values:
        """One measure of each pair, NaN where it does not apply, (pairs,)."""
        return self.values[planner][:, list(MEASURES).index(measure)]

    def differences(self, first: str, second: str) -> dict[str, Interval]:
        """How much higher each measure is for the first planner than for the second, where both have it."""
        return dict(zip(MEASURES, differences(self.values[first], self.values[second]), strict=True))

    def by_wording(self, measure: str) -> dict[str, dict[str, Interval]]:
        """A measure by wording and planner."""
        wordings = np.array([pair.wording for pair in self.pairs])
        table = np.stack([self.column(planner, measure) for planner in self.planners], axis=1)
        return {
            wording: dict(zip(self.planners, intervals(table[wordings == wording]), strict=True))
            for wording in sorted(set(wordings.tolist()))
        }

    def seconds(self, planner: str, quantile: float) -> float:
        """A quantile of the seconds to an answer; NaN where nobody was asked."""
        taken = self.column(planner, "seconds")
        return float(np.nanquantile(taken, quantile)) if not np.isnan(taken).all() else float("nan")


def summarise(pairs: Sequence[Pair], results: Sequence[Result]) -> list[Summary]:
    """Measure every planner on every split.

    Args:
        pairs: The pairs, of any splits.
        results: One row for each pair and planner, as `evaluate` gives them.
    """
    splits = dict.fromkeys(pair.split for pair in pairs)
    return [_summary(split, [pair for pair in pairs if pair.split == split], results) for split in splits]


def _summary(split: str, pairs: Sequence[Pair], results: Sequence[Result]) -> Summary:
    there = {pair.id for pair in pairs}
    rows: dict[str, list[Result]] = {}
    for row in results:
        if row.pair in there:
            rows.setdefault(row.planner, []).append(row)
    measured = {planner: values(cases(pairs, own)) for planner, own in rows.items()}
    # All columns in one go: every planner and measure sees the same resamples.
    found = intervals(np.concatenate(list(measured.values()), axis=1))
    by_planner = {
        planner: dict(zip(MEASURES, found[n * len(MEASURES) :], strict=False)) for n, planner in enumerate(measured)
    }
    return Summary(split, tuple(pairs), measured, by_planner)
