from __future__ import annotations

import pytest

from tool_specs.civitai.recommended import DEFAULT_WEIGHT, FULL_WEIGHT, recommended_of
from tool_specs.families import FAMILIES
from tool_specs.spec import Example, LoraUse, Spread


def example(**fields: object) -> Example:
    return Example.model_validate({"prompt": "a fox"} | fields)


@pytest.mark.parametrize("base_model", ["SD 1.5", "Pony", "Flux.1 D", "SD 3.5 Large", "Pocket", "Other"])
def test_without_examples_the_family_decides(base_model: str) -> None:
    learned = recommended_of(base_model, [])
    family = next((f for f in FAMILIES.values() if base_model in f.base_models), FAMILIES["other"])

    assert (learned.sampler, learned.width, learned.height) == (family.sampler, family.width, family.height)
    assert learned.steps == Spread(median=family.steps, low=family.steps, high=family.steps)
    assert (learned.n, learned.weight) == (0, None)


def test_a_distilled_base_model_has_its_own_defaults() -> None:
    learned = recommended_of("SDXL Lightning", [])
    assert (learned.sampler, learned.steps.median, learned.cfg_scale.median) == ("Euler", 8, 1.0)


def test_mode_and_quartiles() -> None:
    examples = [
        example(sampler="Euler a", steps=20, cfg_scale=7, width=512, height=768, clip_skip=2, negative_prompt="blurry"),
        example(sampler="DDIM", steps=30, cfg_scale=9, width=512, height=768, clip_skip=2, negative_prompt="blurry"),
        example(sampler="Euler a", steps=40, cfg_scale=11, width=512, height=512, clip_skip=1, negative_prompt="bad"),
        example(),
    ]
    learned = recommended_of("SD 1.5", examples)

    assert (learned.sampler, learned.clip_skip, learned.negative_prompt) == ("Euler a", 2, "blurry")
    assert learned.steps == Spread(median=30, low=25, high=35)
    assert learned.cfg_scale == Spread(median=9, low=8, high=10)
    assert (learned.width, learned.height, learned.heights.median) == (512, 768, 768)
    assert learned.n == 3


def test_what_cannot_be_drawn_is_not_learned() -> None:
    examples = [example(sampler="DPM adaptive", steps=400, cfg_scale=0.5, width=4096, height=64, clip_skip=12)]
    learned = recommended_of("Pocket", examples)

    assert (learned.sampler, learned.steps.median, learned.cfg_scale.median) == ("DPM++ 2M Karras", 20, 3.0)
    assert (learned.width, learned.height, learned.clip_skip) == (64, 64, 1)


def test_sizes_snap_to_what_can_be_drawn() -> None:
    learned = recommended_of("SD 1.5", [example(width=513, height=769)])
    assert (learned.width, learned.height) == (512, 768)


def test_flux_learns_no_negative_prompt() -> None:
    assert recommended_of("Flux.1 D", [example(negative_prompt="blurry")]).negative_prompt == ""


def test_weights_of_networks() -> None:
    own = LoraUse(id="Pixel_v1", weight=0.7)
    other = LoraUse(id="other", weight=0.2)
    examples = [
        example(loras=(own, other)),
        example(loras=(LoraUse(id="renamed", weight=0.9),)),
        example(loras=(other, other)),
    ]

    learned = recommended_of("Pocket", examples, model_type="LORA", names=["pixel_v1"]).weight

    assert learned == Spread(median=0.8, low=0.75, high=0.85)
    assert recommended_of("Pocket", [], model_type="LORA").weight == DEFAULT_WEIGHT
    assert recommended_of("Pocket", [], model_type="TextualInversion").weight == FULL_WEIGHT


def test_a_sampler_that_is_not_drawn_counts_for_the_nearest() -> None:
    examples = [example(sampler=name) for name in ("Restart", "Heun Karras", "Euler a")]
    assert recommended_of("SDXL 1.0", examples).sampler == "Heun Karras"
    assert recommended_of("Wan Video", [example(sampler="Restart")]).sampler == "Restart"
