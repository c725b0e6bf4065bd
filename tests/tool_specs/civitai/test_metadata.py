from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tool_specs.civitai.metadata import example_of
from tool_specs.spec import Example, LoraUse

FLAT = {
    "prompt": "a fox <lora:pixel:0.8>, blue background",
    "negativePrompt": "blurry",
    "sampler": "DPM++ 2M",
    "Schedule type": "Karras",
    "steps": "25",
    "cfgScale": 7.5,
    "Size": "512x768",
    "seed": 42,
    "Clip skip": "2",
}
EXAMPLE = Example(
    prompt="a fox, blue background",
    negative_prompt="blurry",
    sampler="DPM++ 2M Karras",
    steps=25,
    cfg_scale=7.5,
    width=512,
    height=768,
    seed=42,
    clip_skip=2,
    loras=(LoraUse(id="pixel", weight=0.8),),
)


def test_flat_and_nested_metadata() -> None:
    assert example_of(FLAT) == EXAMPLE
    assert example_of({"id": 5, "meta": FLAT}) == EXAMPLE


@pytest.mark.parametrize(
    "meta",
    [
        None,
        {},
        [],
        "text",
        5,
        {"prompt": None},
        {"prompt": "  "},
        {"prompt": 3},
        {"meta": None},
        {"prompt": "<lora:a:1>"},
    ],
)
def test_no_prompt_no_example(meta: object) -> None:
    assert example_of(meta) is None


def test_a_whole_infotext_pasted_into_the_prompt() -> None:
    pasted = (
        "parameters\n\na fox <lora:pixel:0.8>, blue background\nNegative prompt: blurry\n"
        "Steps: 25, Sampler: DPM++ 2M Karras, CFG scale: 7.5, Seed: 42, Size: 512x768, Clip skip: 2, Model: x"
    )
    assert example_of({"prompt": pasted, "sampler": None}) == EXAMPLE


def test_its_own_fields_come_before_the_pasted_ones() -> None:
    example = example_of({"prompt": "a fox\nSteps: 25, Sampler: Euler, CFG scale: 7", "steps": 30})
    assert example is not None
    assert (example.prompt, example.steps, example.sampler) == ("a fox", 30, "Euler")


@pytest.mark.parametrize(
    ("fields", "loras"),
    [
        (
            {"resources": [{"type": "lora", "name": "a", "weight": "0.5"}, {"type": "model", "name": "m"}]},
            (("a", 0.5),),
        ),
        ({"resources": [{"type": "lora", "name": "pixel", "weight": 0.1}, None, "x"]}, (("pixel", 0.1),)),
        ({"resources": {"0": {"type": "locon", "name": "a"}}}, (("a", 1.0),)),
        (
            {"civitaiResources": [{"type": "lora", "modelVersionId": 210432, "weight": 0.85}]},
            (("civitai:@210432", 0.85),),
        ),
        ({"civitaiResources": [{"type": "lora", "air": "urn:air:sdxl:lora:civitai:5@6"}]}, (("civitai:5@6", 1.0),)),
        ({"civitaiResources": [{"type": "lora", "modelVersionId": 0}, {"type": "embed", "modelVersionId": 9}]}, ()),
        ({"AddNet Model 1": "add_detail(7c6bad76eb54)", "AddNet Weight A 1": "-1"}, (("add_detail", -1.0),)),
        ({"resources": [{"type": "lora", "name": "a", "weight": 40}]}, (("a", 2.0),)),
        ({"resources": [{"type": "lora", "name": "a", "weight": None}]}, (("a", 1.0),)),
    ],
)
def test_networks_of_every_kind(fields: dict[str, object], loras: tuple[tuple[str, float], ...]) -> None:
    example = example_of({"prompt": "a fox", **fields})
    assert example is not None
    assert tuple((use.id, use.weight) for use in example.loras) == loras


@pytest.mark.parametrize(
    ("fields", "size"),
    [
        ({"Size": "1024x1024", "First pass size": "512x512"}, (512, 512)),
        ({"Size": "1024x1024", "First pass size": "0x0"}, (1024, 1024)),
        ({"width": 832, "height": "1216"}, (832, 1216)),
        ({"Size": "big", "width": 1}, (None, None)),
    ],
)
def test_sizes(fields: dict[str, object], size: tuple[int | None, int | None]) -> None:
    example = example_of({"prompt": "a fox", **fields})
    assert example is not None
    assert (example.width, example.height) == size


def test_what_cannot_be_is_left_out() -> None:
    example = example_of(
        {"prompt": "a fox", "seed": -1, "steps": 0, "cfgScale": "NaN", "Clip skip": "99", "sampler": {"a": 1}}
    )
    assert example == Example(prompt="a fox")


@pytest.mark.parametrize(
    "settings",
    ["Steps: 99999, Sampler: Euler, Seed: 9999999999, Size: 5x5, Clip skip: 40", "Steps: 0, CFG scale: 900, Size: 1x1"],
)
def test_nor_is_it_believed_when_it_was_pasted(settings: str) -> None:
    example = example_of({"prompt": f"a fox\n{settings}, Model: x"})
    assert example is not None
    assert example.model_copy(update={"sampler": None}) == Example(prompt="a fox")


def test_flux_guidance() -> None:
    example = example_of({"prompt": "a fox", "cfgScale": 1, "Distilled CFG Scale": "3.5"})
    assert example is not None
    assert example.cfg_scale == 3.5


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda children: st.lists(children, max_size=3) | st.dictionaries(st.text(max_size=8), children, max_size=3),
    max_leaves=8,
)


@given(
    st.dictionaries(
        st.sampled_from([*FLAT, "resources", "civitaiResources", "meta", "AddNet Model 1", "scheduler"]), JSON
    )
)
def test_any_metadata_is_read_or_ignored(meta: dict[str, object]) -> None:
    example = example_of(meta)
    assert example is None or example.prompt
