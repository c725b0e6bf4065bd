"""Rows and pairs of a made-up catalog, for tests of what is measured."""

from __future__ import annotations

from finetune.dabench.pairs import Pair
from finetune.dabench.results import Result

GOLD: dict = {
    "family": "sd15",
    "checkpoint": "civitai:1@10",
    "loras": [{"id": "civitai:7@70", "weight": 0.8}],
    "prompt": "a fox",
    "sampler": "Euler a",
    "steps": 20,
    "cfg_scale": 7.0,
    "width": 512,
    "height": 768,
}


def pair(name: str, *, possible: bool = True, **fields: object) -> Pair:
    """A pair with the gold call, or one that nothing can draw."""
    call = GOLD if possible else None
    reference = "a fox" if possible else ""
    return Pair.model_validate(
        {"id": name, "instruction": f"Paint {name}.", "reference": reference, "call": call, "split": "test", **fields}
    )


def row(name: str, planner: str = "ours", **fields: object) -> Result:
    """A planner's row; without more it declined."""
    shown: dict = {"offered": ("civitai:2@20", "civitai:1@10"), "networks": ("civitai:7@70",), "fits": True}
    known: dict = {"planner": planner, "pair": name, "split": "test", "question": "q", "declined": True, "seconds": 0.5}
    return Result.model_validate({**known, **shown, **fields})


def called(name: str, planner: str = "ours", changes: dict | None = None, **fields: object) -> Result:
    """A row with a valid call: the gold one, changed."""
    call = {**GOLD, **(changes or {})}
    facts: dict = {"declined": False, "tool": "t", "model": call["checkpoint"], "call": call}
    return row(name, planner, **{**facts, **fields})
