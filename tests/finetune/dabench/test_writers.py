from __future__ import annotations

import random
from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from finetune.dabench.descriptions import plain_description
from finetune.dabench.pairs import MAX_INSTRUCTION
from finetune.dabench.writers import BARE, FRAMES, LIST_FRAMES, GivenWriter, RuleWriter
from tool_specs.prompts import OTHER_TAG


def said(text: str, count: int = 400) -> set[str]:
    return {RuleWriter().write(text, random.Random(n)) for n in range(count)}


def test_whole_phrases_get_every_frame() -> None:
    wordings = said("An old castle by the sea")
    expected = {f"{frame.before}an old castle by the sea{frame.after}" for frame in FRAMES}
    assert wordings == expected | {"An old castle by the sea"}


def test_lists_get_frames_of_their_own_and_may_end_in_and() -> None:
    wordings = said("castle, sea, sunset")
    assert {"castle, sea, sunset", "Draw this: castle, sea, sunset.", "Draw this: castle, sea and sunset."} <= wordings
    assert all(any(one.startswith(frame.before) for frame in LIST_FRAMES) for one in wordings - {"castle, sea, sunset"})


def test_nobody_asks_for_a_picture_of_a_photo() -> None:
    wordings = said("a close-up photo of an old castle by the sea")
    assert not any("picture of" in one or "image of" in one for one in wordings)


def test_some_say_nothing_around_it() -> None:
    counts = Counter(RuleWriter().write("an old castle", random.Random(n)) == "an old castle" for n in range(2000))
    assert abs(counts[True] / 2000 - BARE) < 0.04


def test_weights_tags_and_names_are_gone() -> None:
    for one in range(50):
        text = "(masterpiece:1.3), a sks fox <lora:foxy:0.8>, best quality"
        assert "a fox" in RuleWriter().write(text, random.Random(one), avoid={"sks"})


@given(st.text(max_size=300), st.integers())
def test_whatever_the_text_an_instruction_fits_a_pair(text: str, seed: int) -> None:
    one = RuleWriter().write(text, random.Random(seed))

    assert bool(one) == bool(plain_description(text))
    assert len(one) <= MAX_INSTRUCTION
    assert not OTHER_TAG.search(one)
    assert one == RuleWriter().write(text, random.Random(seed))


def test_a_given_text_stays() -> None:
    assert GivenWriter().write(" Make me a fox,\n8k!\x00 ", random.Random(0)) == "Make me a fox,\n8k!"
