"""Models that come after training: one checkpoint and two LoRAs are added, and nothing is trained again."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from finetune.dabench.bootstrap import Interval
from finetune.dabench.pairs import Pair
from finetune.dabench.report import cell
from finetune.pocket.planner.dataset import pair_of
from finetune.pocket.planner.requests import RequestWriter, held_out_phrase
from finetune.pocket.planner.words import UNKNOWN
from finetune.pocket.planner.worlds import World, checkpoint_like, network_like, pocket_world
from finetune.pocket.records import CHECKPOINT_IDS, STYLE_IDS
from tool_specs.catalog import Catalog

STYLES: tuple[str, str] = ("cave painting", "needlepoint")
"""No LoRA of these was ever in training."""
SUBJECTS = 24
"""Things that the new checkpoint knows, all of them unknown to training."""


@dataclass(frozen=True, slots=True)
class Choice:
    """How often a planner chose what it should.

    Attributes:
        trained: Of requests for models that were there in training.
        new: Of requests for those that were not.
    """

    trained: Interval
    new: Interval

    @property
    def ratio(self) -> float:
        """New over trained; NaN where those that were trained are never chosen."""
        return self.new.mean / self.trained.mean if self.trained.mean else math.nan


def world_with_newcomers() -> World:
    """The pocket world with one checkpoint and two LoRAs that training never saw."""
    pocket = pocket_world()
    nouns = [noun for noun in UNKNOWN if held_out_phrase(noun)][:SUBJECTS]
    checkpoint = checkpoint_like(
        pocket.catalog.get(CHECKPOINT_IDS["animals"]), nouns, name="Curio Cabinet", model_id=48_213, version_id=61_022
    )
    pattern = pocket.catalog.get(STYLE_IDS["neon"])
    networks = [
        network_like(pattern, style, name=name, trigger=style, model_id=model_id, version_id=model_id + 7)
        for style, name, model_id in zip(STYLES, ("Ochre Walls", "Stitchwork"), (52_731, 70_944), strict=True)
    ]
    return World(
        Catalog([*pocket.catalog, checkpoint, *networks]),
        pocket.drawn_by | dict.fromkeys(nouns, checkpoint.id),
        pocket.styled_by | {style: network.id for style, network in zip(STYLES, networks, strict=True)},
    )


def newcomer_pairs(world: World, count: int, seed: int = 30) -> list[Pair]:
    """Requests in unseen wordings, `count` in each split: for trained and new checkpoints, and likewise LoRAs."""
    rng = np.random.default_rng(seed)
    writer = RequestWriter(rng, unseen=True)
    pocket = pocket_world()
    old, styles = pocket.subjects, pocket.styles
    new = [subject for subject in world.subjects if subject not in pocket.drawn_by]
    kinds = {
        "trained_checkpoint": (old, styles, _any),
        "new_checkpoint": (new, styles, _any),
        "trained_lora": (old, styles, _styled),
        "new_lora": (old, STYLES, _styled),
    }
    pairs = []
    for split, (subjects, named, keep) in kinds.items():
        for number in range(count):
            request = writer.request(writer.wanted(subjects, named, keep=keep))
            pairs.append(pair_of(f"{split}-{number:05}", split, world, request, rng))
    return pairs


def choices(folder: Path, planner_folders: Sequence[tuple[str, Path]], count: int) -> dict[str, dict[str, Choice]]:
    """Ask planners for models that they were trained with and for new ones.

    Args:
        folder: Where answers are kept.
        planner_folders: Name and folder of each planner.
        count: Requests of each kind.

    Returns:
        By planner, for "checkpoint" and "lora", how often it chose right.
    """
    from diffagent_tools.embeddings import MiniLMEmbedder
    from finetune.dabench.evaluation import evaluate
    from finetune.dabench.planners import Source, planners_of
    from finetune.dabench.summary import summarise
    from tool_specs.search.shortlist import Shortlister

    world = world_with_newcomers()
    pairs = newcomer_pairs(world, count)
    shortlister = Shortlister(world.catalog, MiniLMEmbedder())
    planners = planners_of([f"{name}=local:{path}" for name, path in planner_folders], Source(shortlister, folder))
    results = evaluate(pairs, planners, shortlister, folder)
    by_split = {summary.split: summary.intervals for summary in summarise(pairs, results)}
    return {
        name: {
            kind: Choice(by_split[f"trained_{kind}"][name][measure], by_split[f"new_{kind}"][name][measure])
            for kind, measure in (("checkpoint", "checkpoint"), ("lora", "loras_exact"))
        }
        for name, _ in planner_folders
    }


def table(found: dict[str, dict[str, Choice]]) -> str:
    """The choices as Markdown."""
    lines = ["| planner | what | trained | new | new / trained |", "| --- | --- | ---: | ---: | ---: |"]
    for name, kinds in found.items():
        for kind, choice in kinds.items():
            lines.append(f"| {name} | {kind} | {cell(choice.trained)} | {cell(choice.new)} | {choice.ratio:.2f} |")
    return "\n".join(lines)


def _any(_subject: str, _style: str | None) -> bool:
    return True


def _styled(_subject: str, style: str | None) -> bool:
    return style is not None
