from __future__ import annotations

import pytest

from tests.tool_specs.conftest import SpecMaker
from tool_specs.catalog import Catalog
from tool_specs.search.embedder import Embedder
from tool_specs.search.terms import TermIndex, indefinite, terms_of


def test_tags_of_a_checkpoint_are_subjects_and_places(pocket_catalog: Catalog) -> None:
    terms = {term.phrase: term for term in terms_of(pocket_catalog.get("9001"))}
    assert terms["cat"].role == "subject"
    assert terms["orange background"].role == "place"
    assert terms["orange background"].writes == "on an orange background"
    assert terms["under a night sky"].writes == "under a night sky"


def test_a_network_is_a_style_that_writes_its_trigger_word(pocket_catalog: Catalog) -> None:
    terms = terms_of(pocket_catalog.get("9016"))
    assert {term.role for term in terms} == {"style"}
    assert {term.writes for term in terms} == {"sepia"}
    assert "style" not in {term.phrase for term in terms}


def test_a_network_for_backgrounds_is_a_place(pocket_catalog: Catalog) -> None:
    terms = terms_of(pocket_catalog.get("9021"))
    assert {term.role for term in terms} == {"place"}
    assert {term.writes for term in terms} == {"on a mintcolor background"}


def test_the_same_words_are_alike_however_they_are_written(pocket_catalog: Catalog, embedder: Embedder) -> None:
    index = TermIndex.of([pocket_catalog.get("9004")], embedder)
    phrases = [term.phrase for term in index.terms]
    cosines = index.similarities(["lightbulb", "Light-Bulbs".casefold(), "violin"], "subject")
    assert cosines[0, phrases.index("light bulb")] == 1.0
    assert cosines[1, phrases.index("light bulb")] == 1.0
    assert cosines[2, phrases.index("light bulb")] < 0.9
    assert not cosines[:, phrases.index("blue background")].any()


def test_nothing_to_compare(embedder: Embedder, make_spec: SpecMaker) -> None:
    assert TermIndex.of([], embedder).similarities(["x"], "style").shape == (1, 0)
    assert TermIndex.of([make_spec(tags=("cat",))], embedder).similarities([], "subject").shape == (0, 1)


@pytest.mark.parametrize(
    ("noun", "phrase"),
    [("fox", "a fox"), ("owl", "an owl"), ("umbrella", "an umbrella"), ("ufo", "a ufo"), ("grapes", "grapes"),
     ("bus", "a bus"), ("bread", "bread"), ("fried egg", "a fried egg"), ("dress", "a dress"),
     ("octopus", "an octopus")],
)  # fmt: skip
def test_articles(noun: str, phrase: str) -> None:
    assert indefinite(noun) == phrase
