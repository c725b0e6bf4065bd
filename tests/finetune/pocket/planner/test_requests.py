from __future__ import annotations

import re
from itertools import product

import numpy as np
import pytest

from finetune.pocket.planner.requests import RequestWriter, Wanted, held_out_phrase, held_out_style
from finetune.pocket.planner.words import (
    ADJECTIVES,
    COLOUR_PHRASES,
    COLOUR_WORDS,
    FRAMES,
    PLACES,
    STYLE_NAMES,
    STYLE_PHRASES,
    SYNONYMS,
    UNKNOWN,
)
from finetune.pocket.world import BACKGROUNDS, COLOURS, SCENES, STYLES, all_subjects


def test_every_list_has_words_that_training_may_see() -> None:
    """Else training would take the held-out ones."""
    lists = [*SYNONYMS.values(), *PLACES.values(), *COLOUR_WORDS.values(), *STYLE_PHRASES.values()]
    for phrases in (*lists, COLOUR_PHRASES, FRAMES, ADJECTIVES, UNKNOWN):
        assert not all(map(held_out_phrase, phrases)), phrases
    for phrases in (COLOUR_PHRASES, FRAMES, UNKNOWN, *STYLE_PHRASES.values(), *PLACES.values()):
        assert any(map(held_out_phrase, phrases)), phrases


def test_an_adjective_and_a_noun_never_spell_a_held_out_word() -> None:
    held_out = {phrase for phrases in SYNONYMS.values() for phrase in phrases if held_out_phrase(phrase)}
    nouns = [*SYNONYMS, *(phrase for phrases in SYNONYMS.values() for phrase in phrases)]
    seen = [[word for word in words if not held_out_phrase(word) or word in SYNONYMS] for words in (ADJECTIVES, nouns)]
    assert held_out.isdisjoint(" ".join(pair) for pair in product(*seen))


def test_words_mean_one_thing() -> None:
    subjects = all_subjects()
    synonyms = [phrase for phrases in SYNONYMS.values() for phrase in phrases]
    assert set(SYNONYMS) == set(subjects)
    assert len(set(synonyms)) == len(synonyms)
    assert set(synonyms).isdisjoint(subjects)
    assert len(set(UNKNOWN)) == len(UNKNOWN)
    assert set(UNKNOWN).isdisjoint([*synonyms, *subjects])
    assert set(PLACES) == set(SCENES)
    assert set(COLOUR_WORDS) == set(COLOURS)
    assert set(STYLE_PHRASES) == set(STYLES)
    assert set(STYLE_NAMES).isdisjoint(STYLES)


def phrases_in(text: str, phrases: list[str]) -> list[str]:
    return [phrase for phrase in phrases if re.search(rf"(?<!\w){re.escape(phrase)}(?!\w)", text)]


def test_training_never_sees_a_held_out_phrase() -> None:
    nouns = [phrase for phrases in SYNONYMS.values() for phrase in phrases]
    places = [phrase for phrases in (*PLACES.values(), *STYLE_PHRASES.values()) for phrase in phrases]
    allowed = [*all_subjects(), *BACKGROUNDS, *(phrase for phrase in nouns + places if not held_out_phrase(phrase))]
    held_out = [
        phrase
        for phrase in nouns + places
        if held_out_phrase(phrase) and not any(phrase in longer for longer in allowed)
    ]
    frames = [frame.split("{}")[0].strip() for frame in FRAMES if held_out_phrase(frame) and frame[0] != "{"]
    seen = {frame.split("{}")[0].strip() for frame in FRAMES if not held_out_phrase(frame)}
    frames = [frame for frame in frames if not any(frame in longer for longer in seen)]
    assert len(held_out) > 80
    writer = RequestWriter(np.random.default_rng(5))
    for _ in range(2000):
        text = writer.request(writer.wanted(list(all_subjects()), keep=lambda *_: True)).text
        assert phrases_in(text, held_out) == []
        assert not any(text.startswith(f"{frame} ") for frame in frames)
    for _ in range(300):
        text = writer.impossible().text
        assert not any(text.startswith(f"{frame} ") for frame in frames)


def test_unseen_requests_are_worded_anew() -> None:
    seen = RequestWriter(np.random.default_rng(1))
    unseen = RequestWriter(np.random.default_rng(2), unseen=True)
    subjects = list(all_subjects())

    def texts(writer: RequestWriter) -> set[str]:
        wanted = [writer.wanted(subjects, keep=lambda *_: True) for _ in range(1500)]
        return {writer.request(one).text for one in wanted} | {writer.impossible().text for _ in range(500)}

    assert texts(seen).isdisjoint(texts(unseen))


def test_held_out_pairs_are_a_part() -> None:
    pairs = [held_out_style(subject, style) for subject in all_subjects() for style in STYLES]
    assert 0.1 < np.mean(pairs) < 0.2
    assert not any(held_out_style(subject, None) for subject in all_subjects())


def test_the_reference_is_the_caption() -> None:
    assert Wanted("owl").reference == "an owl"
    assert Wanted("grapes", "snow", "neon").reference == "neon, grapes in the snow"
    assert Wanted("cat", "red").plain == "a cat on a red background"


@pytest.mark.parametrize("unseen", [False, True])
def test_a_seed_repeats(unseen: bool) -> None:
    def texts() -> list[str]:
        writer = RequestWriter(np.random.default_rng(4), unseen=unseen)
        return [writer.request(writer.wanted(["cat", "owl"], keep=lambda *_: True)).text for _ in range(20)]

    assert texts() == texts()
    assert len(set(texts())) > 10
