from __future__ import annotations

import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tool_specs.ranking.texts import PIECE, distinct, grams, numbered, phrases, pieces, words


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("A Red_Dragon's lair, 8k!", ["a", "red", "dragon's", "lair", "8k"]),
        ("城堡 на закате", ["城堡", "на", "закате"]),
        ("(masterpiece:1.2)", ["masterpiece", "1", "2"]),
        ("!!! ___ <>", []),
        ("", []),
    ],
)
def test_words(text: str, found: list[str]) -> None:
    assert words(text) == found


def test_grams_are_words_and_neighbours() -> None:
    assert grams(["a", "red", "fox"]) == ["a", "red", "fox", "a_red", "red_fox"]
    assert grams([]) == []


def test_phrases_stand_between_commas() -> None:
    assert phrases("a Fox, , oil painting;dark\nred | x") == ["a fox", "oil painting", "dark", "red", "x"]


def test_pieces_overlap_and_know_the_ends() -> None:
    assert pieces(["inks"]) == ["^ink", "inks", "nks$"]
    assert pieces(["a"]) == ["^a$"]


@given(st.text())
def test_every_text_has_terms(text: str) -> None:
    found = words(text)
    terms = numbered(grams(found))
    assert len(terms) == max(0, 2 * len(found) - 1)
    assert terms.tolist() == [zlib.crc32(one.encode("utf-8", "surrogatepass")) for one in grams(found)]
    assert sorted(set(terms.tolist())) == distinct(terms).tolist()
    phrases(text)
    assert all(len(piece) <= PIECE for piece in pieces(found))


def test_half_a_character_is_a_character() -> None:
    assert len(numbered(["\ud800"])) == 1
