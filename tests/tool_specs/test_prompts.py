from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tool_specs.prompts import OTHER_TAG, clean_prompt, clean_text, positive_prompt, whole_characters, without_loras


@pytest.mark.parametrize(
    ("text", "prompt", "loras"),
    [
        ("a fox <lora:pixel:0.8>", "a fox", (("pixel", 0.8),)),
        ("a fox, <lora:油画笔触Oil brushstrokes:0.7>", "a fox,", (("油画笔触Oil brushstrokes", 0.7),)),
        ("<lora:- Flux1 - vanta_black_V2.0:0.55> night", "night", (("- Flux1 - vanta_black_V2.0", 0.55),)),
        ("<lora:a:0.8:0.6> x", "x", (("a", 0.8),)),
        ("<lora:a> x", "x", (("a", 1.0),)),
        ("<lyco:b:-1>x<LORA:c:.5>", "x", (("b", -1.0), ("c", 0.5))),
        ("x <hypernet:felt:1>", "x", ()),
        ("<lora:<lora:a:1>:1> x", "x", (("a", 1.0),)),
        ("a < b <3", "a < b <3", ()),
        ("<lora:a:1e999>", "", (("a", 1.0),)),
    ],
)
def test_network_tags(text: str, prompt: str, loras: tuple[tuple[str, float], ...]) -> None:
    assert without_loras(text) == (prompt, loras)


@pytest.mark.parametrize(
    ("text", "clean"),
    [
        ("Prompt: a fox", "a fox"),
        ("Positive prompt: a fox", "a fox"),
        ("Prompt :a fox", "a fox"),
        ("parameters\n\na fox", "a fox"),
        ("Parameters      : a fox", "a fox"),
        ("parameters Prompt: a fox", "parameters Prompt: a fox"),
        ("a\x00b\x1b[31m\u202ec\ud800", "a b [31mc"),
        ("a\r\nb\rc", "a\nb\nc"),
        ("👨‍👩‍👧 é 猫", "👨‍👩‍👧 é 猫"),
        ("fox\U000e0068\U000e0069\u061c", "fox"),
    ],
)
def test_labels_and_control_characters_go(text: str, clean: str) -> None:
    assert clean_prompt(text) == clean


@given(st.text(alphabet=st.characters(), max_size=300))
def test_cleaning_twice_changes_nothing(text: str) -> None:
    assert clean_text(clean_text(text)) == clean_text(text)
    assert clean_prompt(clean_prompt(text)) == clean_prompt(text)
    clean_text(text).encode()


@given(st.text(alphabet="<>lora:x1. \n", max_size=80))
def test_no_tag_survives(text: str) -> None:
    assert not OTHER_TAG.search(without_loras(text)[0])


def test_hostile_nesting_takes_no_time() -> None:
    start = time.process_time()
    prompt, _ = without_loras("<lora:" * 20_000 + ">" * 20_000)
    assert time.process_time() - start < 1
    assert not OTHER_TAG.search(prompt)


def test_the_positive_prompt() -> None:
    assert positive_prompt("Prompt: a cat <lora:x:0.8>, red\nNegative prompt: dog") == "a cat, red"
    assert positive_prompt("a cat") == "a cat"


def test_halves_of_characters_are_left_out() -> None:
    assert whole_characters("a\ud800b\udc00c\U0001f600") == "abc\U0001f600"
