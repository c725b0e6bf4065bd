"""What an evaluation of the pocket planner found, as one small file that lies beside the weights it speaks of."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from pydantic import BaseModel, ConfigDict

from finetune.dabench.bootstrap import Interval
from finetune.dabench.evaluation import FILE_NAME as RESULTS
from finetune.dabench.pairs import read_pairs
from finetune.dabench.results import Result
from finetune.dabench.summary import Summary, summarise
from finetune.json_lines import JsonLines
from finetune.pocket.planner.newcomers import Choice
from tool_specs.weight_files import sha256_of
from tool_specs.whole_files import write_whole

FILE_NAME: Final = "evaluation.json"
MEASURES: Final = (
    "reward", "checkpoint", "loras_exact", "invented", "invalid", "decline_precision", "decline_recall",
)  # fmt: skip
QUANTILES: Final = {"p50": 0.5, "p95": 0.95}


class Figure(BaseModel):
    """A mean with its 95 % interval, and the number of values; all None but `n` where there is no value."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    mean: float | None
    low: float | None
    high: float | None
    n: int

    @classmethod
    def of(cls, found: Interval) -> Figure:
        """The same, in four digits."""
        ends = (found.mean, found.low, found.high) if found.n else (None, None, None)
        mean, low, high = (None if value is None else round(value, 4) for value in ends)
        return cls(mean=mean, low=low, high=high, n=found.n)


class SplitFigures(BaseModel):
    """A split."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    pairs: int
    drawable: int
    planners: dict[str, dict[str, Figure]]
    """By planner and measure."""
    seconds: dict[str, dict[str, float | None]]
    """To an answer, by planner, median and 95th percentile; None for one that was never asked."""
    differences: dict[str, Figure]
    """In reward, of two planners with a comma between, paired."""


class Figures(BaseModel):
    """All of it."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    weights: str
    """SHA-256 of the planner's weights."""
    splits: dict[str, SplitFigures]
    newcomers: dict[str, dict[str, dict[str, Figure]]]
    """By planner, what is chosen ("checkpoint", "lora"), and "trained" or "new": how often it was chosen right."""


def read_figures(folder: Path) -> Figures:
    """The figures beside a planner's weights.

    Args:
        folder: The planner's.
    """
    return Figures.model_validate_json((folder / FILE_NAME).read_bytes())


def write_figures(
    folder: Path,
    dataset: Path,
    evaluations: Mapping[str, Path],
    newcomers: Mapping[str, Mapping[str, Choice]],
    *,
    compare: Sequence[str],
) -> Path:
    """Write what evaluations found beside the planner's weights.

    Args:
        folder: The planner's.
        dataset: The pairs.
        evaluations: By split, the folder of the results.
        newcomers: As `newcomers.choices` gives them.
        compare: Names of two planners with a comma between; those that were not both asked are left out.
    """
    figures = Figures(
        weights=sha256_of(folder / "model.safetensors"),
        splits={split: _split(dataset, split, results, compare) for split, results in evaluations.items()},
        newcomers={
            planner: {
                kind: {"trained": Figure.of(choice.trained), "new": Figure.of(choice.new)}
                for kind, choice in kinds.items()
            }
            for planner, kinds in newcomers.items()
        },
    )
    write_whole(folder / FILE_NAME, figures.model_dump_json(indent=1) + "\n")
    return folder / FILE_NAME


def _split(dataset: Path, split: str, folder: Path, compare: Sequence[str]) -> SplitFigures:
    # Of rows about the same question the last one counts, as for an evaluation that is gone on with.
    rows = {row.key: row for row in JsonLines(folder / RESULTS, Result).read()}
    asked = {row.pair for row in rows.values()}
    pairs = [pair for pair in read_pairs(dataset, split) if pair.id in asked]
    (found,) = summarise(pairs, list(rows.values()))
    named = [tuple(words.split(",")) for words in compare]
    return SplitFigures(
        pairs=len(pairs),
        drawable=found.drawable,
        planners={
            planner: {name: Figure.of(found.intervals[planner][name]) for name in MEASURES}
            for planner in found.planners
        },
        seconds={planner: _seconds(found, planner) for planner in found.planners},
        differences={
            f"{first},{second}": Figure.of(found.differences(first, second)["reward"])
            for first, second in named
            if {first, second} <= {*found.planners}
        },
    )


def _seconds(found: Summary, planner: str) -> dict[str, float | None]:
    taken = {name: found.seconds(planner, quantile) for name, quantile in QUANTILES.items()}
    return {name: None if math.isnan(seconds) else round(seconds, 3) for name, seconds in taken.items()}
