"""How sure a mean is: the paired percentile bootstrap over pairs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

RESAMPLES: Final = 10_000
LEVEL: Final = 0.95
_BLOCK: Final = 500
"""Resamples at once: bounds memory, and is part of what a seed draws."""

Values = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Interval:
    """A mean and the interval that holds the true one in 95 of 100 such experiments; NaN where there is nothing.

    Attributes:
        mean: Of the values.
        low: Lower end.
        high: Upper end.
        n: Number of values.
    """

    mean: float
    low: float
    high: float
    n: int

    @property
    def excludes_zero(self) -> bool:
        """Whether all of it is on one side of 0."""
        return self.low > 0 or self.high < 0


def intervals(values: Values, *, resamples: int = RESAMPLES, seed: int = 0) -> list[Interval]:
    """The mean of each column with its percentile interval (Efron & Tibshirani 1993, chapter 13).

    Whole rows are drawn with replacement, so columns stay paired. Where a value is NaN, the column has nothing to say
    about that row: its mean is over the other rows, in the data and in each resample.

    Args:
        values: (pairs, columns).
        resamples: How often to draw.
        seed: The same seed gives the same intervals.

    Returns:
        One interval for each column.
    """
    rows, columns = values.shape
    present = ~np.isnan(values)
    counts = present.sum(axis=0)
    filled = np.where(present, values, 0.0)
    drawn = np.full((resamples, columns), np.nan)
    generator = np.random.default_rng(seed)
    for start in range(0, resamples if rows else 0, _BLOCK):
        size = min(_BLOCK, resamples - start)
        times = _times_drawn(generator, size, rows)
        drawn[start : start + size] = _ratio(times @ filled, times @ present)
    tail = 100 * (1 - LEVEL) / 2
    empty = np.isnan(drawn).all(axis=0)
    ends = np.full((2, columns), np.nan)
    ends[:, ~empty] = np.nanpercentile(drawn[:, ~empty], [tail, 100 - tail], axis=0)
    means = _ratio(filled.sum(axis=0), counts)
    return [Interval(*row) for row in zip(means.tolist(), *ends.tolist(), counts.tolist(), strict=True)]


def differences(first: Values, second: Values, *, resamples: int = RESAMPLES, seed: int = 0) -> list[Interval]:
    """The mean of `first - second` for each column, over the pairs that both have a value for.

    Args:
        first: (pairs, columns).
        second: Likewise, of the same pairs and measures.
        resamples: As for `intervals`.
        seed: As for `intervals`.
    """
    return intervals(first - second, resamples=resamples, seed=seed)


def _times_drawn(generator: np.random.Generator, resamples: int, rows: int) -> NDArray[np.float64]:
    """How often each row is in each resample, (resamples, rows)."""
    drawn = generator.integers(rows, size=(resamples, rows)) + rows * np.arange(resamples)[:, None]
    return np.bincount(drawn.ravel(), minlength=resamples * rows).reshape(resamples, rows).astype(np.float64)


def _ratio(sums: NDArray[np.float64], counts: NDArray[np.float64] | NDArray[np.int64]) -> NDArray[np.float64]:
    return np.divide(sums, counts, out=np.full(sums.shape, np.nan), where=counts > 0)
