from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tool_specs.ranking.postings import Postings
from tool_specs.ranking.texts import Terms, distinct, numbered

MEAN = 5.0
Documents = list[list[int]]
DOCUMENTS = st.lists(st.lists(st.integers(0, 12), max_size=15), max_size=8)
"""Few different terms, so that documents share them."""


def terms_of(numbers: list[int]) -> Terms:
    return np.array(numbers, dtype=np.uint32)


def index(documents: Documents) -> Postings:
    return Postings.of([terms_of(one) for one in documents], mean_length=MEAN)


def scores(postings: Postings, terms: Terms, weights: list[float]) -> list[float]:
    found = np.zeros(postings.size, dtype=np.float32)
    postings.add_scores(terms, np.array(weights, dtype=np.float32), found)
    return found.tolist()


def test_an_impact_by_hand() -> None:
    postings = Postings.of([numbered(["the", "fox", "and", "the", "hen"]), numbered(["hen"])], mean_length=4)
    # tf = 2, dl = 5, avdl = 4: 2 * 2.2 / (2 + 1.2 * (0.25 + 0.75 * 5 / 4)).
    assert scores(postings, numbered(["the"]), [1.0]) == pytest.approx([4.4 / 3.425, 0])
    # tf = 1: 2.2 / (1 + 1.425) and, in the document of one word, 2.2 / (1 + 1.2 * (0.25 + 0.75 / 4)).
    assert scores(postings, numbered(["hen"]), [3.0]) == pytest.approx([6.6 / 2.425, 6.6 / 1.525])
    assert postings.frequencies(numbered(["hen", "the", "cow"])).tolist() == [2, 1, 0]


@given(DOCUMENTS, st.lists(st.integers(0, 15), max_size=6))
def test_scores_against_every_document(documents: Documents, asked: list[int]) -> None:
    def score(document: list[int]) -> float:
        norm = 1.2 * (0.25 + 0.75 * len(document) / MEAN)
        return sum(
            (1 + term) * document.count(term) * 2.2 / (document.count(term) + norm)
            for term in set(asked)
            if term in document
        )

    postings, terms = index(documents), distinct(terms_of(asked))
    found = scores(postings, terms, [1.0 + term for term in terms.tolist()])
    assert found == pytest.approx([score(one) for one in documents], abs=1e-4)
    held = [sum(term in one for one in documents) for term in terms.tolist()]
    assert postings.frequencies(terms).tolist() == held


@given(st.lists(st.lists(st.tuples(st.lists(st.integers(0, 12), max_size=15), st.booleans()), max_size=6), min_size=1))
def test_joined_is_as_if_made_anew(parts: list[list[tuple[list[int], bool]]]) -> None:
    joined = Postings.joined(
        [(index([one for one, _ in part]), np.array([kept for _, kept in part], dtype=bool)) for part in parts]
    )
    anew = index([one for part in parts for one, kept in part if kept])
    assert joined.size == anew.size
    for name, array in anew.arrays().items():
        assert joined.arrays()[name].dtype == array.dtype, name
        assert np.array_equal(joined.arrays()[name], array), name


def test_arrays_are_all_there_is() -> None:
    postings = index([[1, 2, 2], [], [2, 7]])
    again = Postings.from_arrays(postings.arrays(), postings.size)
    assert scores(again, terms_of([2, 7]), [1, 1]) == scores(postings, terms_of([2, 7]), [1, 1])
