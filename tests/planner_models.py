"""A planner of the shipped architecture and chat template with random weights, and what it is asked."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from finetune.pocket.planner.lessons import lesson_sample, lessons
from finetune.pocket.planner.network import Size, make_untrained
from finetune.pocket.planner.tokenizer import blank_tokenizer
from finetune.pocket.planner.worlds import World, made_up_world, pocket_world
from finetune.sfta.samples import rendered
from tests.graphs.paper_world import WordEmbedder
from tool_specs.search.shortlist import Hit, Shortlist, Shortlister

TINY = Size(width=32, layers=2, inner=64, heads=2, head_width=16)


def lesson_rows(count: int, seed: int = 0) -> Iterator[dict[str, str]]:
    """Rendered lessons of the pocket world and of made-up ones, with shortlists by shared words."""
    rng = np.random.default_rng(seed)
    tokenizer = blank_tokenizer()
    for world in (pocket_world(), made_up_world(rng)):
        shortlister = Shortlister(world.catalog, WordEmbedder())
        for number, lesson in enumerate(lessons(world, shortlister, rng, count // 2)):
            yield rendered(lesson_sample(str(number), world, lesson, rng), tokenizer)


def save_tiny_planner(folder: Path) -> Path:
    """Write the folder of a planner that has learned nothing but its words."""
    make_untrained(folder, [row["prompt"] + row["completion"] for row in lesson_rows(100)], size=TINY)
    return folder


def shortlist_of(world: World, rng: np.random.Generator, request: str = "a cat") -> Shortlist:
    """Some of a world's models in random order, each with a reason or without."""
    specs = [spec for spec in world.catalog if spec.is_checkpoint or spec.is_network]
    rng.shuffle(specs)
    reasons = (("knows 'cat'",), ("nearest word: 'owl' for \"cat's\" (0.61)",), ())
    hits = [Hit(spec, 1.0, reasons[int(rng.integers(3))]) for spec in specs if spec.is_checkpoint]
    networks = [Hit(spec, 1.0, reasons[int(rng.integers(3))]) for spec in specs if spec.is_network]
    count = int(rng.integers(0, len(networks) + 1))
    return Shortlist(request, tuple(hits), tuple(networks[:count]), (), fits=True, nearest=())
