from __future__ import annotations

import json
from collections.abc import Iterator

import pytest
from pydantic import ValidationError

from tests.tool_specs.conftest import SpecMaker
from tool_specs.calls import arguments_model, to_call
from tool_specs.exceptions import CallError
from tool_specs.families import FAMILIES
from tool_specs.spec import ToolSpec

GOOD = {
    "loras": [],
    "prompt": "a fox",
    "negative_prompt": "",
    "sampler": "Euler a",
    "steps": 20,
    "cfg_scale": 5,
    "width": 64,
    "height": 64,
    "clip_skip": 1,
    "seed": None,
}


@pytest.fixture
def animals(make_spec: SpecMaker) -> ToolSpec:
    return make_spec(9001, name="Pocket Animals")


@pytest.fixture
def pixel(make_spec: SpecMaker) -> ToolSpec:
    return make_spec(9011, "LORA", name="Pocket Pixel Art")


@pytest.fixture
def foreign(make_spec: SpecMaker) -> ToolSpec:
    return make_spec(9012, "LORA", "SD 1.5", name="Foreign")


def keys_in(schema: object) -> Iterator[str]:
    if isinstance(schema, dict):
        for key, value in schema.items():
            yield key
            yield from keys_in(value)
    elif isinstance(schema, list):
        for value in schema:
            yield from keys_in(value)


@pytest.mark.parametrize("base_model", ["Pocket", "SD 1.5", "Pony", "Flux.1 D", "SD 3.5 Large"])
def test_the_schema_stays_in_the_portable_strict_subset(make_spec: SpecMaker, base_model: str) -> None:
    spec, network = make_spec(1, base_model=base_model), make_spec(2, "LORA", base_model)
    schema = arguments_model(spec, [network]).model_json_schema()

    for part in (schema, schema["$defs"]["Lora"]):
        assert part["additionalProperties"] is False
        assert set(part["required"]) == set(part["properties"])
        assert "title" not in part
    assert not {"oneOf", "allOf", "patternProperties", "const", "default", "pattern", "not"} & set(keys_in(schema))
    assert list(schema["properties"]) == list(GOOD)
    assert schema["properties"]["seed"]["anyOf"][1] == {"type": "null"}
    assert schema["properties"]["sampler"]["enum"] == list(FAMILIES[spec.family].samplers)
    assert len(json.dumps(schema)) < 4_000


def test_enums_hold_only_what_is_valid_now(animals: ToolSpec, pixel: ToolSpec, foreign: ToolSpec) -> None:
    schema = arguments_model(animals, [animals, pixel, foreign]).model_json_schema()

    assert schema["$defs"]["Lora"]["properties"]["id"]["enum"] == [pixel.id]
    assert animals.recommended.width in schema["properties"]["width"]["enum"]
    assert all(size % 8 == 0 for size in schema["properties"]["height"]["enum"])


def test_without_a_fitting_network_the_list_must_be_empty(
    animals: ToolSpec, foreign: ToolSpec, pixel: ToolSpec
) -> None:
    model = arguments_model(animals, [foreign])

    assert model.model_json_schema()["properties"]["loras"]["maxItems"] == 0
    assert model.model_validate(GOOD)
    with pytest.raises(ValidationError):
        model.model_validate({**GOOD, "loras": [{"id": pixel.id, "weight": 1}]})


def test_every_parameter_is_required(animals: ToolSpec) -> None:
    model = arguments_model(animals)
    for field in GOOD:
        with pytest.raises(ValidationError):
            model.model_validate({name: value for name, value in GOOD.items() if name != field})


def test_the_same_choice_gives_the_same_class(animals: ToolSpec, pixel: ToolSpec, foreign: ToolSpec) -> None:
    assert arguments_model(animals, [pixel, foreign]) is arguments_model(animals, [foreign, pixel])
    assert arguments_model(animals, [pixel]) is not arguments_model(animals, [])
    assert arguments_model(animals).checkpoint == animals.id


def test_a_recommended_size_off_the_grid_is_on_offer(make_spec: SpecMaker) -> None:
    recommended = make_spec(base_model="SD 1.5").recommended.model_copy(update={"width": 600})
    schema = arguments_model(make_spec(1, base_model="SD 1.5", recommended=recommended)).model_json_schema()
    assert 600 in schema["properties"]["width"]["enum"]


@pytest.mark.parametrize(
    ("model_type", "base_model"), [("LORA", "Pocket"), ("Checkpoint", "PixArt a"), ("VAE", "SD 1.5")]
)
def test_only_drawable_checkpoints_have_arguments(make_spec: SpecMaker, model_type: str, base_model: str) -> None:
    spec = make_spec(1, model_type, base_model)
    with pytest.raises(CallError):
        arguments_model(spec)
    with pytest.raises(CallError):
        to_call(spec, GOOD)


def test_arguments_become_a_call(animals: ToolSpec, pixel: ToolSpec) -> None:
    arguments = arguments_model(animals, [pixel]).model_validate({**GOOD, "loras": [{"id": pixel.id, "weight": 0.8}]})
    call = to_call(animals, arguments, shortlist=[animals, pixel])

    assert (call.family, call.checkpoint, call.sampler) == ("pocket", animals.id, "Euler a")
    assert [(use.id, use.weight) for use in call.loras] == [(pixel.id, 0.8)]


def test_recommended_parameters_stand_in_for_missing_ones(make_spec: SpecMaker) -> None:
    recommended = make_spec(base_model="SD 1.5").recommended.model_copy(
        update={"sampler": "DDIM", "negative_prompt": "blurry", "clip_skip": 2, "height": 768}
    )
    call = to_call(make_spec(base_model="SD 1.5", recommended=recommended), {"prompt": "a fox"})

    assert (call.sampler, call.negative_prompt, call.clip_skip, call.height) == ("DDIM", "blurry", 2, 768)


def test_a_network_of_another_family_is_refused_with_the_reason(
    animals: ToolSpec, pixel: ToolSpec, foreign: ToolSpec
) -> None:
    with pytest.raises(CallError, match=r"Foreign is for SD 1.5 \(sd1\).*use one of civitai:9011@9111"):
        to_call(animals, {**GOOD, "loras": [{"id": foreign.id, "weight": 1}]}, shortlist=[pixel, foreign])
    with pytest.raises(CallError, match=r"not in the shortlist; leave loras empty"):
        to_call(animals, {**GOOD, "loras": [{"id": "civitai:5@6", "weight": 1}]}, shortlist=[foreign])


def test_several_faults_are_named_in_one_line(animals: ToolSpec) -> None:
    with pytest.raises(CallError) as caught:
        to_call(animals, {"prompt": "", "steps": 0, "width": 7, "height": 7, "seed": "x"})

    said = str(caught.value)
    assert said.startswith("civitai_9001_pocket_animals: ")
    assert "(and 2 more)" in said
    assert "\n" not in said


@pytest.mark.parametrize(
    "arguments",
    [
        {"x" * 9000: 1},
        {"a\x1b[2J\nb": 1},
        {"loras": [{"id": "x" * 9000, "weight": 1}]},
        {"loras": [{"id": ["x"], "weight": 1}]},
        {"prompt": "a <lora:" + "x" * 1500 + ">"},
        {"sampler": "x" * 9000},
    ],
)
def test_what_a_planner_wrote_is_quoted_and_bounded(
    animals: ToolSpec, pixel: ToolSpec, arguments: dict[str, object]
) -> None:
    with pytest.raises(CallError) as caught:
        to_call(animals, {"prompt": "a fox", **arguments}, shortlist=[pixel])
    assert len(str(caught.value)) < 400
    assert str(caught.value).isprintable()


def test_where_a_picture_begins_is_not_for_planners_to_say(animals: ToolSpec) -> None:
    assert set(arguments_model(animals).model_fields) == set(GOOD)
    for name, value in (("init_image", "ab" * 32), ("denoising_strength", 0.5)):
        with pytest.raises(CallError, match=f"{name} is not a parameter of this tool"):
            to_call(animals, {**GOOD, name: value})
