from __future__ import annotations

import json
import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tool_specs.exceptions import CatalogError
from tool_specs.importing.pairs import evidence_of
from tool_specs.store.rows import Use

PAIR: dict[str, Any] = {
    "id": "train-00007", "text": "a fox in ink",
    "gold": [{"model_id": 4, "version_id": 41, "type": "LORA", "weight": 0.8}],
    "prompt": "a (fox:1.2), <lora:ink:0.8>", "negative_prompt": "blurry", "sampler": "Euler a", "steps": 20,
    "cfg_scale": 7.5, "seed": 2**32 - 1, "width": 512, "height": 768, "clip_skip": None, "hires": None,
    "loras": [{"name": "ink", "weight": 0.8, "hash": None}], "base_model": "SD 1.5",
}  # fmt: skip


def test_a_pair() -> None:
    evidence = evidence_of(PAIR)
    assert (evidence.id, evidence.text, evidence.uses) == ("train-00007", "a fox in ink", (Use(4, 41, 0.8),))
    assert evidence.call == {
        "prompt": "a (fox:1.2), <lora:ink:0.8>", "negative_prompt": "blurry", "sampler": "Euler a",
        "base_model": "SD 1.5", "steps": 20, "seed": 2**32 - 1, "width": 512, "height": 768, "cfg_scale": 7.5,
        "loras": [{"name": "ink", "weight": 0.8}],
    }  # fmt: skip


@pytest.mark.parametrize(
    "fields",
    [
        {"id": "dev-00001"}, {"id": "test-1"}, {"id": "unseen-dev-00042"}, {"id": "unseen-test-00042"}, {"id": "x-1"},
        {"id": "Dev_3"}, {"id": "train-dev-3"}, {"split": "dev"}, {"split": "unseen-dev", "id": "train-00001"},
        {"split": "TEST"}, {"id": "dev-00001", "split": "train"}, {"id": 5, "split": "kept-back"},
    ],
)  # fmt: skip
def test_an_evaluation_pair_is_never_evidence(fields: dict[str, object]) -> None:
    with pytest.raises(CatalogError, match="evaluation pair"):
        evidence_of({**PAIR, **fields})


@pytest.mark.parametrize(
    "fields", [{"id": None}, {"id": 17}, {"id": "0017"}, {"id": "train_9"}, {"id": "3f2a-99", "split": "train"}]
)
def test_a_pair_that_says_nothing_of_an_evaluation_is_evidence(fields: dict[str, object]) -> None:
    assert evidence_of({**PAIR, **fields}).text == "a fox in ink"


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"text": " \x00 "}, "its text is empty"),
        ({"text": None}, "it is no pair"),
        ({"gold": []}, "names no model"),
        ({"gold": [{"model_id": 0}, {"model_id": 2**31}, None]}, "names no model"),
    ],
)
def test_what_is_no_evidence(fields: dict[str, object], said: str) -> None:
    with pytest.raises(CatalogError, match=said):
        evidence_of({**PAIR, **fields})


def test_a_strangers_text_is_cleaned_and_bounded() -> None:
    hostile = "<script>x</script>a fox\u202e " + "very " * 5000
    evidence = evidence_of({**PAIR, "text": hostile, "prompt": hostile, "steps": "20", "cfg_scale": math.nan})
    assert evidence.text.startswith("a fox very")
    assert len(evidence.text) <= 2000
    assert len(str(evidence.call["prompt"])) <= 2000
    assert evidence.call["steps"] == 20
    assert "cfg_scale" not in evidence.call


ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=10),
    lambda part: st.lists(part, max_size=3) | st.dictionaries(st.text(max_size=5), part, max_size=3),
    max_leaves=5,
)


@given(st.dictionaries(st.sampled_from(sorted(PAIR)), ANYTHING))
def test_any_field_may_be_anything(fields: dict[str, Any]) -> None:
    try:
        evidence = evidence_of({**PAIR, **fields})
    except CatalogError:
        return
    assert evidence.uses
    assert 0 < len(evidence.text) <= 2000
    json.dumps(evidence.call, allow_nan=False)
    evidence.text.encode()
