from __future__ import annotations

import itertools
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from finetune.dabench.duplicates import clusters
from tool_specs.ranking.texts import grams, words

WORDS = [f"word{n}" for n in range(400)]


def test_texts_that_differ_in_a_word_are_one_cluster() -> None:
    texts = [
        "a red fox sits on a stone in the deep green forest",
        "a ship in a storm",
        "a red fox sits on a rock in the deep green forest",
        "a red fox sits on a rock in the dark green forest",
    ]
    assert clusters(texts, similarity=0.6).tolist() == [0, 1, 0, 0]
    assert clusters(texts, similarity=1.0).tolist() == [0, 1, 2, 3]


def test_texts_without_words_are_near_to_nothing() -> None:
    assert clusters(["", "!!", "a fox", "", "a fox"], similarity=0.5).tolist() == [0, 1, 2, 3, 2]
    assert clusters([], similarity=0.5).tolist() == []


@pytest.mark.parametrize("similarity", [0.6, 0.75])
def test_hardly_any_near_pair_is_missed_among_many_texts(similarity: float) -> None:
    source = random.Random(3)
    texts = []
    for _ in range(120):
        base = source.sample(WORDS, source.randrange(4, 30))
        for _ in range(4):
            changed = [source.choice(WORDS) if source.random() < 0.08 else word for word in base]
            texts.append(" ".join(changed))
    found = clusters(texts, similarity=similarity)

    bags = [set(grams(words(text))) for text in texts]
    pairs = itertools.combinations(range(len(texts)), 2)
    near = [(a, b) for a, b in pairs if len(bags[a] & bags[b]) >= similarity * len(bags[a] | bags[b])]
    missed = [(a, b) for a, b in near if found[a] != found[b]]
    assert len(near) > 150
    assert len(missed) <= 0.002 * len(near)


def test_no_cluster_is_made_of_texts_that_nothing_joins() -> None:
    source = random.Random(4)
    texts = [" ".join(source.sample(WORDS, 12)) for _ in range(500)]
    assert len(set(clusters(texts, similarity=0.6).tolist())) == len(texts)


@settings(deadline=None)
@given(st.lists(st.text("ab cd", max_size=20), max_size=12), st.floats(0.3, 1))
def test_the_number_of_a_cluster_is_its_first_member(texts: list[str], similarity: float) -> None:
    found = clusters(texts, similarity=similarity).tolist()
    assert all(number <= place and found[number] == number for place, number in enumerate(found))
