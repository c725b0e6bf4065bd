"""A made-up corpus: models with words of their own, and prompts that use them, written as files."""

from __future__ import annotations

import json
import random
from pathlib import Path

from tests.stored_models import record

WORDS = (
    "castle tower moat knight", "dragon scales wings cave", "ship sails harbour storm",
    "apple pear grape basket", "neon street rain hologram", "forest moss fern stream",
    "desert dune camel oasis", "violin piano concert stage", "robot gears chrome factory",
    "kitten yarn cushion whiskers", "volcano lava ash crater", "library books ladder lamp",
    "whale coral reef diver", "train steam station bridge", "garden rose bench fountain",
    "glacier penguin ice aurora", "market spices lantern crowd", "astronaut moon rocket station",
    "bakery bread oven flour", "circus tent acrobat drum",
)  # fmt: skip
"""Of each model."""
PROMPTS = 14


def write_corpus(folder: Path, *, seed: int = 0) -> tuple[Path, Path]:
    """Write models and pairs, and give their paths."""
    source = random.Random(seed)
    models, pairs = folder / "models.jsonl", folder / "pairs.jsonl"
    subjects = [line.split() for line in WORDS]
    models.write_text("\n".join(json.dumps(record(n, f"Model {n}", tags=own[:2])) for n, own in enumerate(subjects, 1)))
    lines = []
    for n, own in enumerate(subjects, 1):
        for _ in range(PROMPTS):
            first, second = source.sample(own, 2)
            style, number = source.choice(("a painting of", "a photo of", "a sketch of")), source.randrange(10_000)
            text = f"{style} a {first} and a {second}, scene {number}"
            lines.append(
                {"id": f"train-{len(lines)}", "text": text, "gold": [{"model_id": n, "version_id": n * 10 + 1}]}
            )
    source.shuffle(lines)
    pairs.write_text("\n".join(map(json.dumps, lines)))
    return models, pairs
