"""Calls with a variation seed, and with tiling."""

from __future__ import annotations

import pytest

from tool_specs.calls import CALL_MODELS, Variation, call_model, parse_call, to_call, with_unplanned
from tool_specs.catalog import Catalog
from tool_specs.exceptions import CallError

CHECKPOINT = "civitai:9001@9101"
CALL = {"family": "pocket", "checkpoint": CHECKPOINT, "prompt": "a fox"}


@pytest.mark.parametrize("family", CALL_MODELS)
def test_a_call_may_be_varied_and_tiled(family: str) -> None:
    given = {"checkpoint": CHECKPOINT, "prompt": "a fox", "variation": {"seed": 5, "strength": 0.2}, "tiling": True}
    call = call_model(family).model_validate(given)
    assert (call.variation, call.tiling) == (Variation(seed=5, strength=0.2), True)
    assert parse_call(call.model_dump_json()) == call


def test_a_call_without_them_reads_as_it_always_did() -> None:
    assert not {"variation", "tiling"} & parse_call(CALL).model_dump().keys()
    assert parse_call({**CALL, "tiling": True}).model_dump()["tiling"] is True


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ({"variation": {"seed": 5, "strength": 0}}, "variation.strength=0 is too small: it is above 0"),
        ({"variation": {"seed": 5, "strength": 1.5}}, "variation.strength=1.5 is too large: the most is 1"),
        ({"variation": {"seed": -1, "strength": 0.5}}, "variation.seed=-1 is too small"),
        ({"variation": {"strength": 0.5}}, "variation.seed"),
        (
            {"variation": {"seed": 5, "strength": 0.5}, "init_image": "ab" * 32, "denoising_strength": 0.5},
            "variation is given with init_image",
        ),
    ],
)
def test_a_wrong_variation_is_answered_in_one_line(more: dict[str, object], said: str) -> None:
    with pytest.raises(CallError) as caught:
        parse_call({**CALL, **more})
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


def test_only_what_planners_do_not_write_is_put_into_a_call() -> None:
    call = parse_call(CALL)
    assert with_unplanned(call, {"prompt": "a cat", "steps": 3}) == call
    assert with_unplanned(call, {"tiling": True, "prompt": "a cat"}).model_dump() == {
        **call.model_dump(),
        "tiling": True,
    }


@pytest.mark.parametrize("given", [{"variation": {"seed": 5, "strength": 0.2}}, {"tiling": True}])
def test_planners_do_not_ask_for_them(given: dict[str, object]) -> None:
    with pytest.raises(CallError, match="is not a parameter of this tool"):
        to_call(Catalog.pocket().get("9001"), {"prompt": "a fox", **given})
