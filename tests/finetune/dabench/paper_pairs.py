"""Pairs of the paper world."""

from __future__ import annotations

from finetune.dabench.pairs import Pair
from tests.graphs.paper_world import ANIMALS, FOOD, PIXEL

GOLD: dict = {"family": "pocket", "checkpoint": ANIMALS, "prompt": "a fox", "steps": 4}


def paper_pairs() -> list[Pair]:
    """A fox, a pizza in pixel art, and what nothing can draw."""
    pizza = {**GOLD, "checkpoint": FOOD, "prompt": "a pizza", "loras": [{"id": PIXEL, "weight": 0.9}]}
    return [
        Pair(id="fox", instruction="a fox please", reference="a fox", call=GOLD, split="test"),
        Pair(id="pizza", instruction="pizza as pixel art", reference="a pizza", call=pizza, split="test"),
        Pair(id="tax", instruction="democracy itself", split="test"),
    ]
