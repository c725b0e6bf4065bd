from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tool_specs.search.reading import MAX_PHRASES, normal, read_phrases, singular


@pytest.mark.parametrize(
    ("request_text", "things"),
    [
        ("a kitten, 8-bit", ["kitten", "8-bit"]),
        ("draw me a cow please", ["cow"]),
        ("I'd like a picture of a penguin in the snow", ["penguin"]),
        ("my daughter wants a picture of a butterfly", ["butterfly"]),
        ("a man riding a horse", ["man"]),
        ("a detailed map of Portugal", ["detailed map"]),
        ("a cup of coffee", ["coffee"]),
        ("a bucket of popcorn", ["popcorn"]),
        ("half a coconut", ["coconut"]),
        ("an old duckling in a field", ["old duckling"]),
        ("a cat and a dog", ["cat", "dog"]),
        ("can I get a dog wearing sunglasses", ["dog wearing sunglasses"]),
        ("A FOX, IN THE SNOW!", ["fox"]),
        ("I am looking for a red crab", ["red crab"]),
        ("hi, we are searching for cheese", ["cheese"]),
        ("a man looking at the sky for hours", ["man"]),
        ("hello, could you draw a cat?", ["cat"]),
        ("sketch shears for me", ["shears"]),
        ("a wedding ring over a red background", ["wedding ring"]),
        ("a king on a throne", ["king"]),
        ("a toad white background, ink", ["toad white background", "ink"]),
        ("a kiwi green background pixelated", ["kiwi green background", "pixelated"]),
        ("a volcano blueprint style on red", ["volcano blueprint"]),
        ("watercolor style: a cat", ["cat"]),
        ("a nice picture of, in ink, a cat", ["cat"]),
    ],
)
def test_what_is_asked_for(request_text: str, things: list[str]) -> None:
    assert [phrase.text for phrase in read_phrases(request_text) if phrase.role == "thing"] == things


def test_what_is_called_a_style() -> None:
    phrases = read_phrases("a toad in the style of an old photograph")
    assert [(phrase.text, phrase.role) for phrase in phrases] == [("toad", "thing"), ("old photograph", "style")]
    assert read_phrases("a chair in blueprint style")[1].text == "blueprint"


def test_heads_end_where_the_noun_or_its_verb_form_ends() -> None:
    (phrase,) = read_phrases("dog wearing sunglasses")
    assert {"dog", "sunglasses", "dog wearing sunglasses"} <= set(phrase.heads)
    (phrase,) = read_phrases("lighthouse keeper")
    assert phrase.heads == ("lighthouse keeper", "keeper")
    assert phrase.modifiers == ("lighthouse",)


def test_backdrops_are_what_may_be_cut_off() -> None:
    (phrase,) = read_phrases("toad snowy white background")
    assert phrase.backdrops == ("snowy white background", "white background")
    (phrase,) = read_phrases("a yo-yo light pink background")
    assert phrase.backdrops == ("light pink background",)
    assert not read_phrases("a cat, on white")[0].backdrops


@pytest.mark.parametrize(
    ("plural", "one"),
    [("cherries", "cherry"), ("lemons", "lemon"), ("foxes", "fox"), ("glass", "glass"), ("octopus", "octopus"),
     ("torches", "torch"), ("bus", "bus"), ("as", "as")],
)  # fmt: skip
def test_singular(plural: str, one: str) -> None:
    assert singular(plural) == one


def test_one_spelling() -> None:
    assert normal("A  Watercolour, of GREY’s") == "a watercolor of gray's"


@given(st.text(max_size=300))
def test_any_text_can_be_read(text: str) -> None:
    phrases = read_phrases(text)
    assert len(phrases) <= MAX_PHRASES
    assert all(phrase.words and phrase.heads for phrase in phrases)
