from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from tool_specs.calls import (
    CALL_MODELS,
    Call,
    LoraUse,
    PocketCall,
    call_model,
    parse_call,
    start_of,
    starting_from,
)
from tool_specs.exceptions import CallError
from tool_specs.families import FAMILIES

CHECKPOINT = "civitai:9001@9101"


@pytest.mark.parametrize("family", CALL_MODELS)
def test_each_family_draws_with_its_defaults_and_survives_json(family: str) -> None:
    call = call_model(family).model_validate({"checkpoint": CHECKPOINT, "prompt": "a fox"})

    assert call.family == family
    assert (call.steps, call.cfg_scale) == (FAMILIES[family].steps, FAMILIES[family].cfg_scale)
    assert (call.width, call.height) == (FAMILIES[family].width, FAMILIES[family].height)
    assert call.sampler == FAMILIES[family].sampler
    assert parse_call(call.model_dump_json()) == call
    assert parse_call(call.model_dump()) == call
    assert hash(parse_call(call.model_dump())) == hash(call)


@pytest.mark.parametrize("family", CALL_MODELS)
def test_bounds_and_samplers_are_those_of_the_family(family: str) -> None:
    schema = call_model(family).model_json_schema()["properties"]
    bounds = FAMILIES[family]

    assert tuple(schema["sampler"]["enum"]) == bounds.samplers
    assert (schema["steps"]["minimum"], schema["steps"]["maximum"]) == (bounds.min_steps, bounds.max_steps)
    assert schema["width"] == schema["height"] | {"title": "Width", "default": bounds.width}
    assert schema["width"]["multipleOf"] == bounds.size_multiple


@pytest.mark.parametrize(
    ("field", "value", "said"),
    [
        ("steps", 0, "steps=0 is too small: the least is 1"),
        ("steps", 10**6, "steps=1000000 is too large: the most is 100"),
        ("steps", 20.5, "steps=20.5 is not a whole number"),
        ("steps", "many", "steps='many' is not a whole number"),
        ("width", 100, "width=100 is not a multiple of 8"),
        ("height", 4096, "height=4096 is too large: the most is 128"),
        ("cfg_scale", float("nan"), "cfg_scale=nan is not a finite number"),
        ("sampler", "Euler b", "sampler='Euler b' is not one of 'DPM++ 2M Karras'"),
        ("clip_skip", 2, "clip_skip=2 is too large: the most is 1"),
        ("seed", -1, "seed=-1 is too small: the least is 0"),
        ("seed", 2**32, "seed=4294967296 is too large: the most is 4294967295"),
        ("prompt", " \n\t", "prompt='' is empty"),
        ("prompt", "a" * 10_000, "is too long: the most is 2000 characters"),
        ("prompt", None, "prompt=None is not text"),
        ("prompt", "a <lora:x:1>", "holds the tag '<lora:x:1>': name networks in loras instead"),
        ("prompt", "a\nNegative prompt: b", "put what should not be drawn into negative_prompt alone"),
        ("checkpoint", "dreamshaper", "checkpoint='dreamshaper' is not an id such as civitai:4384@128713"),
        ("loras", [{"id": "civitai:1@2", "weight": 3}], "loras.0.weight=3 is too large: the most is 2"),
        ("loras", [{"id": "pixel"}], "loras names 'pixel': use the id of a spec"),
        ("loras", [{"id": "civitai:1@2\n"}], r"loras names 'civitai:1@2\n': use the id of a spec"),
        ("loras", [{"id": "civitai:1@2"}] * 2, "loras names a network twice"),
        ("loras", [{"id": f"civitai:1@{n}"} for n in range(1, 6)], "loras has 5 entries: pocket takes at most 3"),
        ("strength", 1, "strength is not a parameter of this call"),
        ("family", "sd99", "family 'sd99' is none of"),
    ],
)
def test_bad_values_are_answered_in_one_line(field: str, value: object, said: str) -> None:
    data = {"family": "pocket", "checkpoint": CHECKPOINT, "prompt": "a fox", field: value}
    with pytest.raises(CallError) as caught:
        parse_call(data)

    assert said in str(caught.value)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 400


def test_flux_has_no_negative_prompt() -> None:
    with pytest.raises(CallError, match="negative_prompt is not used by flux1"):
        parse_call({"family": "flux1", "checkpoint": CHECKPOINT, "prompt": "a fox", "negative_prompt": "blurry"})


@pytest.mark.parametrize("text", ["", "{", "[]", '"x"', "{}"])
def test_what_is_no_call_at_all(text: str) -> None:
    with pytest.raises(CallError, match="not a valid call"):
        parse_call(text)


@pytest.mark.parametrize("name", ["other", "sd99"])
def test_families_without_calls(name: str) -> None:
    with pytest.raises(CallError, match="use one of sd15, sd2, sdxl, flux1, sd35, chroma, qwen, zimage, pocket"):
        call_model(name)


def test_a_call_is_frozen() -> None:
    call = PocketCall(checkpoint=CHECKPOINT, prompt="a fox", loras=(LoraUse(id="civitai:1@2", weight=0.5),))
    with pytest.raises(ValidationError):
        call.steps = 3


@given(st.text(max_size=300))
def test_any_text_is_a_clean_prompt_or_refused(text: str) -> None:
    try:
        call: Call = PocketCall(checkpoint=CHECKPOINT, prompt=text)
    except ValidationError:
        return
    assert call.prompt == call.prompt.strip() != ""
    assert parse_call(call.model_dump_json()) == call


PICTURE = "0123456789abcdef" * 4


@pytest.mark.parametrize("family", CALL_MODELS)
def test_a_call_may_begin_from_a_picture(family: str) -> None:
    plain = call_model(family).model_validate({"checkpoint": CHECKPOINT, "prompt": "a fox"})
    started = starting_from(plain, PICTURE, 0.5)

    assert (started.init_image, started.denoising_strength) == (PICTURE, 0.5)
    assert parse_call(started.model_dump_json()) == started
    assert start_of(started.model_dump(mode="json")) == (PICTURE, 0.5)
    assert started != plain


def test_a_call_that_begins_from_nothing_reads_as_it_always_did() -> None:
    call = PocketCall(checkpoint=CHECKPOINT, prompt="a fox")
    assert set(call.model_dump(mode="json")) == {
        "family", "checkpoint", "loras", "prompt", "negative_prompt", "sampler", "steps", "cfg_scale", "width",
        "height", "clip_skip", "seed",
    }  # fmt: skip
    assert start_of(call.model_dump()) is None
    assert parse_call({**call.model_dump(), "init_image": None, "denoising_strength": None}) == call


@pytest.mark.parametrize(
    ("start", "said"),
    [
        ({"init_image": PICTURE}, "init_image is given without denoising_strength"),
        ({"denoising_strength": 0.5}, "denoising_strength is given without init_image"),
        ({"init_image": "fox.png", "denoising_strength": 0.5}, "init_image='fox.png' is not the SHA-256 of a picture"),
        ({"init_image": PICTURE + "\n", "denoising_strength": 0.5}, "is not the SHA-256 of a picture"),
        ({"init_image": PICTURE, "denoising_strength": 0.0}, "denoising_strength=0.0 is too small: it is above 0"),
        ({"init_image": PICTURE, "denoising_strength": 1.01}, "denoising_strength=1.01 is too large: the most is 1"),
        ({"init_image": PICTURE, "denoising_strength": 0.1, "steps": 5}, "leaves none of the 5 steps to draw"),
    ],
)
def test_a_wrong_start_is_answered_in_one_line(start: dict[str, object], said: str) -> None:
    with pytest.raises(CallError) as caught:
        parse_call({"family": "pocket", "checkpoint": CHECKPOINT, "prompt": "a fox", **start})
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)
