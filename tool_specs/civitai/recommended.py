"""Parameters to recommend, learned from a model's example pictures."""

from __future__ import annotations

import statistics
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Final, TypeVar

from tool_specs.families import DISTILLED, Distilled, Family, family_of
from tool_specs.samplers import nearest_sampler
from tool_specs.spec import Example, LoraUse, Recommended, Spread

_Value = TypeVar("_Value")

DEFAULT_WEIGHT: Final = Spread(median=0.8, low=0.6, high=1.0)
"""Weight of a network that no example shows."""

FULL_WEIGHT: Final = Spread(median=1.0, low=1.0, high=1.0)
"""Weight of a textual inversion, which is a word rather than a change of weights."""


def recommended_of(
    base_model: str, examples: Sequence[Example], *, model_type: str = "Checkpoint", names: Iterable[str] = ()
) -> Recommended:
    """Learn parameters: the mode of sampler, size, clip skip and negative prompt, the quartiles of all numbers.

    Values that the family cannot be drawn with are left out; samplers give way to the nearest. What no example says is
    the family's default, or the base model's own where it was distilled to few steps.

    Args:
        base_model: The label of the base model.
        examples: What was read from the example pictures.
        model_type: As Civitai spells it; networks get a weight.
        names: What the pictures may call the network: stems of its files.
    """
    family = family_of(base_model)
    default = DISTILLED.get(base_model) or Distilled(family.sampler, family.steps, family.cfg_scale)
    named = [example.sampler for example in examples if example.sampler]
    samplers = [nearest_sampler(sampler, family.samplers) for sampler in named] if family.drawable else named
    steps = _within((example.steps for example in examples), family.min_steps, family.max_steps)
    scales = _within((example.cfg_scale for example in examples), family.min_cfg_scale, family.max_cfg_scale)
    clip_skips = _within((example.clip_skip for example in examples), 1, family.max_clip_skip)
    sizes = _sizes(examples, family)
    negatives = [example.negative_prompt for example in examples if example.negative_prompt]
    width, height = _mode(sizes) or (family.width, family.height)
    return Recommended(
        sampler=_mode(samplers) or default.sampler,
        steps=_spread(steps, default.steps),
        cfg_scale=_spread(scales, default.cfg_scale),
        width=width,
        height=height,
        widths=_spread([size[0] for size in sizes], width),
        heights=_spread([size[1] for size in sizes], height),
        clip_skip=int(_mode(clip_skips) or family.clip_skip),
        negative_prompt=(_mode(negatives) or "") if family.has_negative_prompt else "",
        weight=_weight(examples, model_type, names),
        n=sum(1 for example in examples if example.steps or example.sampler or example.cfg_scale),
    )


def _weight(examples: Sequence[Example], model_type: str, names: Iterable[str]) -> Spread | None:
    """Quartiles of the network's weight where the pictures name it, or where it must be the only network they used."""
    if model_type == "Checkpoint":
        return None
    if model_type == "TextualInversion":
        return FULL_WEIGHT
    stems = {name.casefold() for name in names}
    weights = []
    for example in examples:
        own = [use for use in example.loras if use.id.casefold() in stems] or _sole(example.loras)
        weights += [use.weight for use in own if use.weight > 0]
    return _spread(weights, None) if weights else DEFAULT_WEIGHT


def _sole(loras: tuple[LoraUse, ...]) -> list[LoraUse]:
    return list(loras) if len(loras) == 1 else []


def _within(values: Iterable[float | None], least: float, most: float) -> list[float]:
    return [value for value in values if value is not None and least <= value <= most]


def _sizes(examples: Sequence[Example], family: Family) -> list[tuple[int, int]]:
    """First-pass sizes in pixels, snapped to the family; sizes far outside of it are other tools' final sizes."""
    return [
        (family.size(example.width), family.size(example.height))
        for example in examples
        if example.width
        and example.height
        and family.min_size <= example.width <= family.max_size
        and family.min_size <= example.height <= family.max_size
    ]


def _mode(values: Sequence[_Value]) -> _Value | None:
    """The most frequent value, the first of several; None of none."""
    return Counter(values).most_common(1)[0][0] if values else None


def _spread(values: Sequence[float], default: float | None) -> Spread:
    """Median and quartiles (inclusive method); a single value where there is no more."""
    if not values:
        number = float(default or 0)
        return Spread(median=number, low=number, high=number)
    if len(values) == 1:
        return Spread(median=values[0], low=values[0], high=values[0])
    low, median, high = (round(quartile, 4) for quartile in statistics.quantiles(values, n=4, method="inclusive"))
    return Spread(median=median, low=low, high=high)
