"""Calls of the shipped pocket models with their recommended parameters."""

from __future__ import annotations

from collections.abc import Sequence

from finetune.pocket.records import CHECKPOINT_IDS
from tool_specs.calls import Call, to_call
from tool_specs.catalog import Catalog
from tool_specs.spec import LoraUse


def pocket_call(catalog: Catalog, domain: str, prompt: str, loras: Sequence[LoraUse], seed: int) -> Call:
    """A call of the domain's checkpoint with its recommended parameters."""
    spec = catalog.get(CHECKPOINT_IDS[domain])
    best = spec.recommended
    return to_call(
        spec,
        {
            "prompt": prompt,
            "negative_prompt": best.negative_prompt,
            "sampler": best.sampler,
            "steps": round(best.steps.median),
            "cfg_scale": best.cfg_scale.median,
            "width": best.width,
            "height": best.height,
            "clip_skip": best.clip_skip,
            "seed": seed,
            "loras": [use.model_dump() for use in loras],
        },
    )
