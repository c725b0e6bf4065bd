"""Ordinary arguments of a pocket model's tool."""

from __future__ import annotations

from tool_specs.families import POCKET


def pocket_arguments(**changes: object) -> dict[str, object]:
    """All arguments, with the family's parameters but for few steps."""
    return {
        "prompt": "a fox",
        "negative_prompt": "",
        "sampler": POCKET.sampler,
        "steps": 4,
        "cfg_scale": POCKET.cfg_scale,
        "width": POCKET.width,
        "height": POCKET.height,
        "clip_skip": POCKET.clip_skip,
        "seed": None,
        "loras": [],
        **changes,
    }
