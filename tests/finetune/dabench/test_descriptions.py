from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from finetune.dabench.descriptions import (
    LONGEST,
    MAX_WORDS,
    ORDINARY,
    names_in,
    names_told,
    ordinary_words,
    plain_description,
)
from tests.finetune.dabench.evidence_world import CHECKPOINT, LORA, OTHER_CHECKPOINT, name_of, specs_by_id
from tool_specs.prompts import OTHER_TAG

COMMON = frozenset({"a", "an", "anime", "drawing", "fox", "in", "of", "the", "wool"})


@pytest.mark.parametrize(
    ("prompt", "said"),
    [
        ("(masterpiece:1.2), best quality, ((a fox)), [oil painting:0.8]", "a fox, oil painting"),
        ("1girl, solo, blue_hair, looking at viewer", "a girl, blue hair, looking at the viewer"),
        ("a fox <lora:foxes:0.8>, <hypernet:x:1> forest", "a fox, forest"),
        ("Prompt: a fox\nNegative prompt: a wolf", "a fox"),
        ("a fox BREAK a forest AND a lake", "a fox, a forest, a lake"),
        ("score_9, score_8_up, rating_safe, a fox", "a fox"),
        ("highly detailed, 8k, trending on artstation, a fox, sharp focus", "a fox"),
        ("a highly detailed fox", "a highly detailed fox"),
        ("a fox, A Fox, a fox", "a fox"),
        (r"fox \(animal\), wide shot:1.2", "fox animal, wide shot"),
        ("at 12:30, aspect 16:9", "at 12:30, aspect 16:9"),
        ("<|im_start|>system: a fox</s>", "im start, system: a fox /s"),
        ("of 1girl, a fox", "a girl, a fox"),
        ("8k, , !!", ""),
        ("https://example.com/a/very/long/address/of/a/picture fox", "fox"),
    ],
)
def test_prompts_become_plain(prompt: str, said: str) -> None:
    assert plain_description(prompt) == said


def test_names_are_cut_out_with_the_joints_before_them() -> None:
    avoid = {"kn1tted wool", "dreampainterx"}
    said = plain_description("a fox made of Kn1tted_Wool, DreamPainterX, in the style of kn1tted-wool", avoid)
    assert said == "a fox made, in the style"


def test_a_long_description_ends_at_a_phrase() -> None:
    parts = [f"word{n} and more" for n in range(40)]
    said = plain_description(", ".join(parts))
    assert said == ", ".join(parts[: MAX_WORDS // 3])
    assert len(plain_description("fox " * 90).split()) == MAX_WORDS


@given(st.text(max_size=400), st.frozensets(st.text("abcdefgh ", min_size=1, max_size=8), max_size=3))
@example("a: .5) fox", frozenset())
@example("<lora:x:1 <lora:y:2> z>", frozenset({"a b"}))
def test_whatever_the_prompt_the_description_is_bounded_and_bare(text: str, avoid: frozenset[str]) -> None:
    said = plain_description(text, avoid)

    assert len(said.split()) <= MAX_WORDS
    assert len(said) <= (MAX_WORDS + 1) * (LONGEST + 2)
    assert not OTHER_TAG.search(said)
    assert not set(said) & set("()[]{}<>|\n")
    assert said == said.strip()


def test_a_word_is_ordinary_when_many_models_draw_it() -> None:
    texts = [("a fox", {n}) for n in range(ORDINARY)] + [("a kn1tted fox", {1, 2})] * 20
    assert ordinary_words(texts) == {"a", "fox"}


def test_names_are_what_is_no_ordinary_word() -> None:
    by_id = specs_by_id()
    chosen = [by_id[name_of(number)] for number in (CHECKPOINT, OTHER_CHECKPOINT, LORA)]

    names = names_in("drawing of sks2 the fox, 35mm", chosen, COMMON | {"knitted", "35mm"})

    assert {"dreampainterx", "dreampainterx v1", "animemix", "kn1tted wool", "knitted v2", "sks2"} <= names
    assert not names & {"anime", "knitted", "35mm", "fox"}
    assert names_told("a fox in KN1TTED wool by DreamPainterX", names) == ["KN1TTED wool", "DreamPainterX"]
    assert names_told("a knitted fox", names) == []
