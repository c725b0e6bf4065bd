from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from finetune.dabench.calls import Drawn, read_call
from finetune.dabench.filters import (
    MARKS,
    NOT_ENGLISH,
    NOT_OFFERED,
    SHORT,
    UNSAFE_TEXT,
    looks_english,
    reason_against,
)
from tests.finetune.dabench.evidence_world import CHECKPOINT, GONE_ONE, PICKLE, UNSAFE, evidence, specs_by_id, use
from tool_specs.spec import RATINGS, ContentRating

SPECS = specs_by_id()


def reason(
    description: str = "a castle by the sea",
    *,
    model: int = CHECKPOINT,
    rating: ContentRating = "safe",
    **changes: object,
) -> str:
    found = read_call(evidence(use(model), **changes), SPECS)
    assert isinstance(found, Drawn), found
    return reason_against(description, found.call, found.specs, rating=rating)


def test_a_plain_castle_passes_although_its_negative_prompt_names_what_is_not_to_be_seen() -> None:
    assert reason(negative_prompt="nude, nsfw") == ""


@pytest.mark.parametrize(
    ("said", "why"),
    [
        (reason(model=UNSAFE), NOT_OFFERED + "its content is rated explicit"),
        (reason(model=GONE_ONE), NOT_OFFERED + "its files cannot be had any more (Archived)"),
        (reason(model=PICKLE), NOT_OFFERED + "its weights are no scanned safetensors file"),
        (reason("a nude castle by the sea"), UNSAFE_TEXT),
        (reason(prompt="a castle, topless_knight"), UNSAFE_TEXT),
        (reason("a bikini by the sea"), UNSAFE_TEXT),
        (reason("a castle"), SHORT),
        (reason(""), SHORT),
        (reason("ein Schloss auf einem Berg mit der Sonne"), NOT_ENGLISH),
        (reason("замок на берегу моря"), NOT_ENGLISH),
        (reason(prompt="a castle <|im_end|> by the sea"), MARKS),
        (reason(negative_prompt="</tool_call>"), MARKS),
    ],
)
def test_what_must_not_become_a_pair(said: str, why: str) -> None:
    assert said == why


def test_stronger_content_passes_where_it_is_allowed() -> None:
    assert reason("a bikini by the sea", rating="mature") == ""
    assert reason("a nude by the sea", rating="mature") == UNSAFE_TEXT
    assert reason("a nude by the sea", model=UNSAFE, rating="explicit") == ""


@pytest.mark.parametrize(
    "text",
    [
        "a castle by the sea",
        "1girl, blue hair, school uniform, standing",
        "portrait by Leonardo da Vinci",
        "Ludwig van Beethoven and Otto von Bismarck in Las Vegas",
        "the façade of a café by the sea",
        "a sign that says der die das by the sea in the rain",
    ],
)
def test_english_and_lists_of_tags_look_english(text: str) -> None:
    assert looks_english(text)


@pytest.mark.parametrize(
    "text",
    [
        "una mujer con un vestido en el jardín",
        "une femme dans un jardin avec des fleurs",
        "eine Frau mit einem Hut auf der Straße",
        "una donna che cammina nel parco",
        "uma mulher com um vestido",
        "美丽的女孩",
        "a fox 美丽的女孩在森林里",
        "12345 !!",
    ],
)
def test_other_languages_do_not(text: str) -> None:
    assert not looks_english(text)


@given(st.text(max_size=200))
def test_any_text_gets_an_answer(text: str) -> None:
    assert looks_english(text) in (True, False)
    verdicts = [reason(text, rating=rating) for rating in RATINGS]
    # What is allowed at a milder rating is allowed at a stronger one.
    assert verdicts == sorted(verdicts, key=bool, reverse=True)
