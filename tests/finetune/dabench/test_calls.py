from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from finetune.dabench.calls import (
    BOUNDS,
    CHECKPOINTS,
    COMPLETE,
    FAMILY,
    INCOMPLETE,
    MISFIT,
    NO_CHECKPOINT,
    NO_MODEL,
    NO_NETWORK,
    NO_VERSION,
    SAMPLER,
    Drawn,
    Dropped,
    read_call,
)
from tests.finetune.dabench.evidence_world import (
    CHECKPOINT,
    EMBEDDING,
    FLUX,
    LORA,
    NO_FAMILY,
    OTHER_CHECKPOINT,
    VAE,
    XL,
    XL_LORA,
    evidence,
    name_of,
    specs_by_id,
    use,
)
from tool_specs.calls import parse_call
from tool_specs.store.rows import Evidence, Use

SPECS = specs_by_id()


def drawn(piece: Evidence) -> Drawn:
    found = read_call(piece, SPECS)
    assert isinstance(found, Drawn), found
    return found


def test_parameters_become_a_call() -> None:
    call = drawn(evidence(clip_skip=2)).call

    assert call.model_dump() == {
        "family": "sd15",
        "checkpoint": name_of(CHECKPOINT),
        "loras": (),
        "prompt": "a castle by the sea",
        "negative_prompt": "blurry, nude",
        "sampler": "DPM++ 2M Karras",
        "steps": 25,
        "cfg_scale": 7.0,
        "width": 512,
        "height": 768,
        "clip_skip": 2,
        "seed": None,
    }


def test_networks_get_the_weight_of_the_use_or_of_the_tag() -> None:
    uses = (use(CHECKPOINT), use(LORA), use(EMBEDDING), use(VAE))
    found = drawn(evidence(*uses, prompt="a castle <lora:knitted_v2:0.7>, neat"))

    assert [(one.id, one.weight) for one in found.call.loras] == [(name_of(LORA), 0.7), (name_of(EMBEDDING), 1.0)]
    assert found.call.prompt == "a castle, neat"
    assert [spec.id for spec in found.specs] == [name_of(CHECKPOINT), name_of(LORA), name_of(EMBEDDING)]

    weighed = drawn(evidence(use(CHECKPOINT), use(LORA, 0.4), prompt="a castle <lora:knitted_v2:0.7>"))
    assert weighed.call.loras[0].weight == 0.4


def test_a_file_that_was_renamed_stands_for_the_network_that_no_name_fits() -> None:
    found = drawn(evidence(use(CHECKPOINT), use(LORA, 0.5), prompt="a castle <lora:my_wool:0.5>"))
    assert [one.id for one in found.call.loras] == [name_of(LORA)]


def test_a_renamed_file_has_the_weight_of_its_tag() -> None:
    found = drawn(evidence(use(CHECKPOINT), use(LORA), use(EMBEDDING), prompt="a castle <lora:my_wool:0.4>"))
    assert {one.id: one.weight for one in found.call.loras} == {name_of(LORA): 0.4, name_of(EMBEDDING): 1.0}


def test_an_embedding_does_not_stand_for_a_network_that_nobody_knows() -> None:
    found = read_call(
        evidence(use(CHECKPOINT), use(EMBEDDING), prompt="a castle, mood <lora:somebodys_style:0.9>"), SPECS
    )
    assert found == Dropped(NO_NETWORK)


def test_a_size_is_what_was_drawn() -> None:
    call = drawn(evidence(width=540, height=767)).call
    assert (call.width, call.height) == (536, 760)


def test_flux_has_neither_negative_prompt_nor_skipped_layers() -> None:
    call = drawn(evidence(use(FLUX), sampler="euler", clip_skip=2, width=1000)).call
    assert (call.negative_prompt, call.clip_skip, call.width) == ("", 1, 992)


@pytest.mark.parametrize(
    ("piece", "reason"),
    [
        (evidence(Use(CHECKPOINT, None, None)), NO_VERSION),
        (evidence(use(CHECKPOINT), use(999)), NO_MODEL),
        (evidence(use(LORA)), NO_CHECKPOINT),
        (evidence(use(CHECKPOINT), use(OTHER_CHECKPOINT)), CHECKPOINTS),
        (evidence(use(NO_FAMILY)), FAMILY),
        (evidence(prompt="a castle <lora:stranger:1>"), NO_NETWORK),
        (evidence(loras=[{"name": "stranger", "weight": 1}]), NO_NETWORK),
        (evidence(use(CHECKPOINT), use(LORA), prompt="<lora:knitted_v2:1> <lora:stranger:1> a castle"), NO_NETWORK),
        (evidence(use(CHECKPOINT), use(XL_LORA), prompt="a castle <lora:huge:1>"), MISFIT),
        (evidence(sampler="the best one"), SAMPLER),
        (evidence(sampler="DPM adaptive"), SAMPLER),
        (evidence(use(FLUX), sampler="DDIM"), SAMPLER),
        (evidence(steps=500), BOUNDS),
        (evidence(use(XL), width=256), BOUNDS),
        (evidence(use(CHECKPOINT), use(LORA, 3.0), prompt="a castle <lora:knitted_v2:3>"), BOUNDS),
        (evidence(prompt="<lora:knitted_v2:1>"), NO_NETWORK),
    ],
)
def test_what_cannot_be_called_is_dropped_with_its_reason(piece: Evidence, reason: str) -> None:
    assert read_call(piece, SPECS) == Dropped(reason)


@pytest.mark.parametrize("name", COMPLETE)
def test_a_missing_parameter_is_not_made_up(name: str) -> None:
    assert read_call(evidence(**{name: None}), SPECS) == Dropped(INCOMPLETE)


JUNK = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**70), 2**70),
    st.floats(),
    st.text(max_size=60),
    st.sampled_from(["<lora:knitted_v2:1e999> x", "Negative prompt: y", "a ((", "Euler a", "512"]),
    st.lists(st.one_of(st.text(max_size=8), st.dictionaries(st.text(max_size=6), st.floats(), max_size=2)), max_size=3),
)


@given(
    call=st.dictionaries(st.sampled_from([*COMPLETE, "negative_prompt", "clip_skip", "loras", "schedule"]), JUNK),
    uses=st.lists(
        st.sampled_from([use(CHECKPOINT), use(LORA, float("nan")), use(LORA, 0.5), use(VAE), use(77)]), max_size=4
    ),
)
def test_whatever_the_parameters_are_a_valid_call_or_a_reason_comes_out(
    call: dict[str, object], uses: list[Use]
) -> None:
    found = read_call(evidence(*uses, **call), SPECS)

    if isinstance(found, Dropped):
        assert found.reason
    else:
        assert parse_call(found.call.model_dump_json()) == found.call
