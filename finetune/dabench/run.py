"""One evaluation from its settings to its report."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Annotated, Final

from pydantic import BaseModel, ConfigDict, Field

from finetune.dabench.pairs import Pair, read_pairs
from tool_specs.exceptions import ConfigError

BASELINES: Final = ("retrieval", "popularity", "nearest", "random")


class EvalSettings(BaseModel):
    """What is evaluated, on what, and where the results go."""

    model_config = ConfigDict(extra="forbid")

    dataset: Path
    """Folder of the pairs."""
    out: Path
    """Folder of the results; one that holds an unfinished evaluation is gone on with."""
    splits: list[str] = Field(default=["test"], min_length=1)
    planners: list[str] = Field(default=list(BASELINES), min_length=1)
    """See `finetune.dabench.planners`."""
    catalog: Path | None = None
    """Folder of a stored catalog; None: the pocket models."""
    draw: bool = False
    """Draw the calls and judge the pictures; those of a stored catalog with the reward models in DIFFAGENT_REWARDS."""
    pictures: int = Field(default=1, ge=1)
    """Of each call, with other seeds, whose mean reward counts."""
    limit: int | None = Field(default=None, ge=1)
    """Most pairs of each split, the first ones."""
    compare: list[Annotated[str, Field(pattern=r"^[^,]+,[^,]+$")]] = []
    """Names of two planners with a comma between: the report says how much higher the first one's measures are. Empty:
    each with the first."""


def run(settings: EvalSettings) -> Path:
    """Ask, draw where wanted, and report; progress goes to standard error.

    Returns:
        The report.

    Raises:
        ConfigError: A setting, the data set or a planner's name is wrong, or something is not installed.
        CatalogError: The catalog cannot be read.
        BackendError: A planner failed, or the machine draws nothing with a model; run again to go on.
    """
    from diffagent_tools.planning import SHORTLIST_SIZE
    from finetune.dabench.evaluation import evaluate
    from finetune.dabench.planners import Source, planners_of
    from finetune.dabench.report import write_report
    from finetune.dabench.workbench import opened_shortlister, studio_for

    pairs = _pairs(settings)
    with ExitStack() as stack:
        stored = settings.catalog
        shortlister = opened_shortlister(stored, settings.dataset, stack)
        planners = planners_of(settings.planners, Source(shortlister, settings.dataset))
        # Read before anything is asked: a wrong name should not cost an evaluation.
        compare = _compared(settings.compare, [planner.name for planner in planners])
        studio = studio_for(shortlister.catalog, settings.out) if settings.draw else None
        results = evaluate(pairs, planners, shortlister, settings.out, studio=studio, pictures=settings.pictures)
    about = {
        "data set": settings.dataset.resolve().name,
        "catalog": "pocket" if stored is None else stored.resolve().name,
        "on the shortlist": f"at most {SHORTLIST_SIZE} checkpoints and as many LoRAs",
        "pictures": f"{settings.pictures} of each call, judged by {studio.judge}" if studio else "not drawn",
    }
    return write_report(settings.out, pairs, results, compare=compare, about=about)


def _pairs(settings: EvalSettings) -> list[Pair]:
    """The pairs of all splits."""
    pairs: list[Pair] = []
    for split in dict.fromkeys(settings.splits):
        found = read_pairs(settings.dataset, split)[: settings.limit]
        if not found:
            msg = f"the split {split!r} of {settings.dataset} is empty; choose another"
            raise ConfigError(msg)
        pairs += found
    return pairs


def _compared(compare: Sequence[str], names: Sequence[str]) -> list[tuple[str, str]]:
    chosen = [(first.strip(), second.strip()) for first, _, second in (words.partition(",") for words in compare)]
    if unknown := {name for pair in chosen for name in pair} - set(names):
        msg = f"{min(unknown)!r} cannot be compared: it is not asked; the planners are {', '.join(names)}"
        raise ConfigError(msg)
    return chosen
