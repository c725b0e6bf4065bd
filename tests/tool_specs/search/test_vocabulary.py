from __future__ import annotations

import pytest

from tool_specs.catalog import Catalog
from tool_specs.search.embedder import Embedder
from tool_specs.search.vocabulary import ClosedVocabulary, Translation


def translate(catalog: Catalog, embedder: Embedder, request: str, model: str, *networks: str) -> Translation:
    vocabulary = ClosedVocabulary.of(catalog.get(model), [catalog.get(network) for network in networks], embedder)
    return vocabulary.translate(request)


@pytest.mark.parametrize(
    ("request_text", "model", "networks", "prompt"),
    [
        ("a kitten, 8-bit", "9001", ["9011"], "a cat on a white background, pixel art"),
        ("a kitten on a blue backdrop, 8-bit", "9001", ["9011"], "a cat on a blue background, pixel art"),
        ("pixelated wolf at night", "9001", ["9011"], "a wolf under a night sky, pixel art"),
        ("an owl at dusk", "9001", [], "an owl at sunset"),
        ("cat pixel art", "9001", ["9011"], "a cat on a white background, pixel art"),
        ("a black and white penguin", "9001", [], "a penguin on a white background"),
        ("no background, a cat", "9001", [], "a cat on a white background"),
        ("at sunset a cat", "9001", [], "a cat at sunset"),
        ("sunset over a mountain", "9003", [], "a mountain at sunset"),
        ("a sketch of a hot dog", "9002", ["9012"], "a hot dog on a white background, line art"),
        ("lots of grapes", "9002", [], "grapes on a white background"),
        ("architect's plan of a castle", "9003", ["9015"], "a castle on a white background, blueprint"),
        ("a fox on a mint green background", "9001", ["9021"], "a fox on a mintcolor background"),
        ("a fox on a mintcolor background, sepia", "9001", ["9021", "9016"], "a fox on a mintcolor background, sepia"),
    ],
)
def test_a_request_in_known_words(
    pocket_catalog: Catalog, embedder: Embedder, request_text: str, model: str, networks: list[str], prompt: str
) -> None:
    assert translate(pocket_catalog, embedder, request_text, model, *networks).text == prompt


def test_what_was_replaced_and_what_was_left_out(pocket_catalog: Catalog, embedder: Embedder) -> None:
    translation = translate(pocket_catalog, embedder, "a kitten on a sofa, 8-bit", "9001", "9011")
    assert translation.replaced == (("kitten", "cat"), ("8-bit", "pixel art"))
    assert translation.unknown == ("sofa",)


def test_without_a_known_thing_the_request_stays(pocket_catalog: Catalog, embedder: Embedder) -> None:
    translation = translate(pocket_catalog, embedder, "a detailed map of Portugal", "9003")
    assert translation.text == "a detailed map of Portugal"
    assert translation.unknown == ("detailed map", "portugal")


def test_every_word_of_a_caption_stays(pocket_catalog: Catalog, embedder: Embedder) -> None:
    for spec in pocket_catalog.specs(type="Checkpoint"):
        vocabulary = ClosedVocabulary.of(spec, [], embedder)
        for example in spec.examples:
            assert vocabulary.translate(example.prompt).text == example.prompt
