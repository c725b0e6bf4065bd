from __future__ import annotations

import re
from itertools import chain

import pytest

from finetune.dabench.pairs import Pair
from finetune.pocket.planner.dataset import COMPARISON_SEEDS, IMPOSSIBLE, UNSEEN, card, pocket_pairs
from finetune.pocket.planner.requests import held_out_phrase, held_out_style
from finetune.pocket.planner.words import STYLE_PHRASES, SYNONYMS
from finetune.pocket.planner.worlds import pocket_world
from finetune.pocket.world import STYLES, all_subjects
from tool_specs.calls import parse_call

COUNTS = {"train": 300, "dev": 60, "test": 200, "unseen_styles": 80, "requests": 200}
UNSEEN_NOUNS = [noun for nouns in SYNONYMS.values() for noun in nouns if held_out_phrase(noun)]


@pytest.fixture(scope="module")
def pairs() -> list[Pair]:
    return pocket_pairs(pocket_world(), COUNTS)


def split(pairs: list[Pair], name: str) -> list[Pair]:
    return [pair for pair in pairs if pair.split == name]


def test_every_split_is_full_and_no_instruction_stands_twice(pairs: list[Pair]) -> None:
    assert {name: len(split(pairs, name)) for name in COUNTS} == COUNTS
    assert len({pair.instruction for pair in pairs}) == len({pair.id for pair in pairs}) == len(pairs)


def test_calls_are_valid_and_draw_what_is_asked(pairs: list[Pair]) -> None:
    world = pocket_world()
    owners = {
        spec_id: [name for name, owner in world.drawn_by.items() if owner == spec_id]
        for spec_id in world.drawn_by.values()
    }
    for pair in pairs:
        if pair.call is None:
            assert (pair.reference, pair.wording, pair.models) == ("", "impossible", ())
            continue
        call = parse_call(pair.call)
        assert any(subject in pair.reference for subject in owners[call.checkpoint])
        styles = [style for style in STYLES if world.styled_by[style] in pair.models]
        assert pair.wording.startswith("styled") is bool(styles)
        assert all(pair.reference.startswith(f"{style}, ") for style in styles)


def test_things_have_unseen_names_only_where_planners_are_compared_on_wordings(pairs: list[Pair]) -> None:
    named = {name: [UNSEEN in pair.wording for pair in split(pairs, name) if pair.call is not None] for name in COUNTS}
    assert not any(chain(named["train"], named["dev"], named["unseen_styles"]))
    assert 0.2 < sum(named["test"]) / len(named["test"]) < 0.8
    taught = " ".join(pair.instruction for pair in split(pairs, "train"))
    for pair in split(pairs, "test"):
        if UNSEEN in pair.wording:
            assert any(noun in pair.instruction for noun in UNSEEN_NOUNS)
    assert not [noun for noun in UNSEEN_NOUNS if re.search(rf"\b{re.escape(noun)}\b", taught)]


def test_pairs_to_try_recipes_on_are_others_than_those_that_planners_are_compared_on(pairs: list[Pair]) -> None:
    others = pocket_pairs(pocket_world(), COUNTS, comparison_seed=1)
    assert split(others, "train") == split(pairs, "train")
    assert split(others, "dev") == split(pairs, "dev")
    for name in COMPARISON_SEEDS:
        shared = {pair.instruction for pair in split(others, name)} & {pair.instruction for pair in split(pairs, name)}
        assert len(shared) < COUNTS[name] / 4


def test_a_part_cannot_be_drawn(pairs: list[Pair]) -> None:
    for name in ("train", "test", "requests"):
        own = split(pairs, name)
        assert sum(pair.call is None for pair in own) / len(own) == pytest.approx(IMPOSSIBLE, abs=0.1)
    assert not any(pair.call is None for pair in split(pairs, "unseen_styles"))


def test_pairs_of_subject_and_style_are_kept_apart(pairs: list[Pair]) -> None:
    def held_out(pair: Pair) -> bool:
        style, _, plain = pair.reference.partition(", ")
        if style not in STYLES:
            return False
        words = plain.removeprefix("a ").removeprefix("an ")
        subject = max((one for one in all_subjects() if words.startswith(one)), key=len)
        return held_out_style(subject, style)

    for name in COUNTS:
        assert {held_out(pair) for pair in split(pairs, name)} == {name == "unseen_styles"}


def test_measured_splits_are_in_words_that_training_never_sees(pairs: list[Pair]) -> None:
    seen = {
        word
        for name in ("train", "dev", "unseen_styles")
        for pair in split(pairs, name)
        for word in pair.instruction.split()
    }
    assert {pair.instruction for pair in split(pairs, "requests")}.isdisjoint(
        pair.instruction for pair in split(pairs, "train")
    )
    fresh = [not set(pair.instruction.split()) <= seen for pair in split(pairs, "requests")]
    assert sum(fresh) / len(fresh) > 0.2
    assert any(phrase in pair.instruction for pair in split(pairs, "test") for phrase in STYLE_PHRASES["blueprint"])


def test_a_seed_repeats(pairs: list[Pair]) -> None:
    counts = {"train": 40, "dev": 5}
    assert pocket_pairs(pocket_world(), counts) == pocket_pairs(pocket_world(), counts)
    assert pocket_pairs(pocket_world(), counts)[:40] == pairs[:40]
    assert pocket_pairs(pocket_world(), counts, seed=21)[:40] != pairs[:40]


def test_the_card_counts(pairs: list[Pair]) -> None:
    assert "| unseen_styles | 80 | 0 | 80 |" in card(pairs)
