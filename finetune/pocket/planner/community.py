"""How the community calls models: with the habits of real people, which are not always what draws best.

The distributions are those of about 15,000 real Stable Diffusion 1.5 calls on Civitai (2022 to 2023), each rounded, and
cut to the samplers that the pocket family has.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeVar

import numpy as np

from finetune.pocket.planner.requests import Wanted
from finetune.pocket.world import article, caption
from tool_specs.families import FAMILIES, SD15
from tool_specs.spec import ToolSpec

T = TypeVar("T")

SAMPLERS: Mapping[str, float] = {
    "DPM++ 2M Karras": 0.39, "Euler a": 0.306, "DPM++ SDE Karras": 0.179, "DDIM": 0.047, "Euler": 0.023,
    "DPM++ 2M SDE Karras": 0.019, "UniPC": 0.017, "DPM++ 2M": 0.014, "Heun": 0.005,
}  # fmt: skip
STEPS: Mapping[int, float] = {20: 0.331, 30: 0.199, 25: 0.089, 40: 0.053, 28: 0.046, 35: 0.031, 24: 0.026, 15: 0.008}
CFG_SCALES: Mapping[float, float] = {
    7.0: 0.56, 8.0: 0.082, 6.0: 0.056, 9.0: 0.049, 5.0: 0.039, 10.0: 0.032, 7.5: 0.031, 11.0: 0.025, 12.0: 0.015,
    5.5: 0.014, 6.5: 0.014, 4.0: 0.013,
}  # fmt: skip
"""Around the default of Stable Diffusion 1.5; people stay as near to the default of another family."""
LORA_WEIGHTS: Mapping[float, float] = {
    1.0: 0.401, 0.8: 0.177, 0.7: 0.132, 0.6: 0.08, 0.9: 0.07, 0.5: 0.066, 0.4: 0.02, 0.3: 0.02, 1.2: 0.007,
}  # fmt: skip
TRIGGERS: Mapping[str, float] = {"front": 0.45, "back": 0.45, "none": 0.1}
"""Where people put the trigger words; some forget them."""


def community_arguments(
    wanted: Wanted, checkpoint: ToolSpec, network: ToolSpec | None, rng: np.random.Generator
) -> dict[str, object]:
    """The arguments with which somebody in the community would draw a picture.

    Args:
        wanted: What they want.
        checkpoint: The model they use; the picture has its recommended size.
        network: The LoRA of the style; None without one.
        rng: Where chance comes from.
    """
    prompt = _caption(wanted, rng)
    where = _drawn(TRIGGERS, rng)
    if network is not None and network.trigger_words and where != "none":
        trigger = network.trigger_words[0]
        prompt = f"{trigger}, {prompt}" if where == "front" else f"{prompt}, {trigger}"
    return {
        "loras": [{"id": network.id, "weight": _drawn(LORA_WEIGHTS, rng)}] if network else [],
        "prompt": prompt,
        "negative_prompt": "",
        "sampler": _drawn(SAMPLERS, rng),
        "steps": _drawn(STEPS, rng),
        "cfg_scale": _cfg_scale(FAMILIES[checkpoint.family].cfg_scale, rng),
        "width": checkpoint.recommended.width,
        "height": checkpoint.recommended.height,
        "clip_skip": 1,
        "seed": None,
    }


def _cfg_scale(default: float, rng: np.random.Generator) -> float:
    """As many times the family's default as people's scales are times that of Stable Diffusion 1.5, in halves."""
    return round(_drawn(CFG_SCALES, rng) / SD15.cfg_scale * default * 2) / 2


def _caption(wanted: Wanted, rng: np.random.Generator) -> str:
    """The picture in the words of the checkpoint, in one of the wordings people use."""
    wording = int(rng.choice(4, p=(0.55, 0.2, 0.1, 0.15)))
    if wanted.background is not None:
        return caption(wanted.subject, wanted.background, wording)
    noun = article(wanted.subject)
    return (noun, wanted.subject, f"a picture of {noun}", f"{noun} on a white background")[wording]


def _drawn(shares: Mapping[T, float], rng: np.random.Generator) -> T:
    values, weights = list(shares), np.array(list(shares.values()))
    return values[int(rng.choice(len(values), p=weights / weights.sum()))]
