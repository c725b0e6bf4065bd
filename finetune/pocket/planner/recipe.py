"""How the pocket planner is made: counts, sizes, steps and seeds of every stage."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from finetune.pocket.planner.dataset import COUNTS
from finetune.pocket.planner.lessons import Course
from finetune.pocket.planner.network import Size


@dataclass(frozen=True, slots=True)
class Recipe:
    """One way through all stages.

    Attributes:
        counts: Pairs of each split of the data set.
        courses: What stage 1 learns from.
        size: Of the network.
        drills: Short samples to learn copying from.
        drill_steps: Steps of the drills before stage 1, each of 24 short samples.
        reminders: Drills among the samples of stage 1.
        sft_steps: Steps of stage 1, each of 32 samples.
        rollouts: Instructions whose candidates are drawn.
        sampled: Answers sampled for each of them.
        perturbed: Variants of the planner's call made for each of them.
        seeds: Pictures drawn of each candidate.
        finalists: Candidates of each rollout that are drawn more often, the best ones.
        finalist_seeds: Pictures drawn of each of these.
        rewordings: How often stage 2 sees each rollout in other words, besides once in its own.
        reviews: Lessons that stage 2 keeps in mind.
        align_epochs: Passes of stage 2 over the rollouts and those lessons.
        drawn: Pairs of each drawn split that are evaluated.
        pictures: Drawn of each of their calls.
        asked: Pairs of the split `requests` that are evaluated.
        newcomers: Requests of each kind for models that came after training.
    """

    counts: Mapping[str, int] = field(default_factory=lambda: COUNTS)
    courses: tuple[Course, ...] = (Course("pocket", 7000, 1), Course("made up", 6000, 2), Course("mixed", 4000, 6))
    size: Size = field(default_factory=Size)
    drills: int = 36_000
    drill_steps: int = 1200
    reminders: int = 12_000
    sft_steps: int = 3000
    rollouts: int = 300
    sampled: int = 2
    perturbed: int = 4
    seeds: int = 2
    finalists: int = 3
    finalist_seeds: int = 6
    rewordings: int = 10
    reviews: tuple[Course, ...] = (Course("pocket", 1600, 9), Course("made up", 200, 8), Course("mixed", 1000, 7))
    align_epochs: float = 1.0
    drawn: int = 480
    pictures: int = 2
    asked: int = 2000
    newcomers: int = 200


FULL = Recipe()
QUICK = Recipe(
    counts=MappingProxyType({"train": 16, "test": 12, "unseen_styles": 4, "requests": 24}),
    courses=(Course("pocket", 80, 1), Course("made up", 80, 2), Course("mixed", 20, 6)),
    size=Size(width=64, layers=2, inner=128, heads=2, head_width=32),
    drills=400,
    drill_steps=10,
    reminders=40,
    sft_steps=30,
    rollouts=10,
    sampled=1,
    perturbed=1,
    seeds=1,
    finalists=2,
    finalist_seeds=2,
    rewordings=2,
    reviews=(Course("pocket", 3, 9), Course("made up", 2, 8), Course("mixed", 4, 7)),
    align_epochs=1.0,
    drawn=6,
    pictures=1,
    asked=24,
    newcomers=6,
)
"""Exercises every stage in a few minutes; what it trains is of no use."""
