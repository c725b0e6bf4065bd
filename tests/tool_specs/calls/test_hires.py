"""Calls with a hires fix."""

from __future__ import annotations

import pytest

from tool_specs.calls import CALL_MODELS, HiresFix, PocketCall, call_model, parse_call, to_call
from tool_specs.catalog import Catalog
from tool_specs.exceptions import CallError

CHECKPOINT = "civitai:9001@9101"
CALL = {"family": "pocket", "checkpoint": CHECKPOINT, "prompt": "a fox"}


@pytest.mark.parametrize("family", CALL_MODELS)
def test_a_call_may_have_a_second_pass(family: str) -> None:
    given = {"checkpoint": CHECKPOINT, "prompt": "a fox", "hires": {"upscale": 1.25, "steps": 9}}
    call = call_model(family).model_validate(given)
    assert call.hires == HiresFix(upscale=1.25, denoising_strength=0.7, steps=9, upscaler="Latent")
    assert parse_call(call.model_dump_json()) == call
    assert all(side % call.bounds.size_multiple == 0 for side in call.final_size)


def test_the_final_size_is_cut_to_what_the_family_draws() -> None:
    call = PocketCall(checkpoint=CHECKPOINT, prompt="a fox", width=40, height=64, hires=HiresFix(upscale=1.3))
    assert call.final_size == (48, 80)
    assert PocketCall(checkpoint=CHECKPOINT, prompt="a fox", width=40).final_size == (40, 64)


@pytest.mark.parametrize(
    ("steps", "first", "strength", "planned"), [(None, 20, 1.0, 20), (None, 20, 0.5, 40), (7, 20, 0.7, 10)]
)
def test_the_wanted_steps_are_run(steps: int | None, first: int, strength: float, planned: int) -> None:
    fix = HiresFix(steps=steps, denoising_strength=strength)
    assert fix.planned_steps(first) == planned
    assert int(planned * strength + 1e-6) == (steps or first)


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ({"hires": {"upscale": 1}}, "hires.upscale=1 is too small: it is above 1"),
        ({"hires": {"upscale": 3}}, "hires.upscale=3 makes 192x192: pocket draws at most 128"),
        ({"hires": {"denoising_strength": 0.01}}, "is too little for 20 steps: the least is 0.02"),
        ({"hires": {"upscaler": "R-ESRGAN 4x+"}}, "hires.upscaler='R-ESRGAN 4x+' is not one of 'Latent' or 'Lanczos'"),
        ({"hires": {"scale": 2}}, "hires.scale is not a parameter of this call"),
        ({"hires": {}, "init_image": "ab" * 32, "denoising_strength": 0.5}, "hires is given with init_image"),
    ],
)
def test_a_wrong_second_pass_is_answered_in_one_line(more: dict[str, object], said: str) -> None:
    with pytest.raises(CallError) as caught:
        parse_call({**CALL, **more})
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


def test_planners_do_not_ask_for_one() -> None:
    with pytest.raises(CallError, match="hires is not a parameter of this tool"):
        to_call(Catalog.pocket().get("9001"), {"prompt": "a fox", "hires": {}})
