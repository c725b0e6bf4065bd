from __future__ import annotations

from pathlib import Path

import numpy as np

from tests.tool_specs.ranking.conftest import KNOWN
from tool_specs.ranking.encoder import BLOCK, Encoder
from tool_specs.ranking.texts import numbered


def test_vectors_have_length_one(encoder: Encoder) -> None:
    vectors = encoder.vectors([numbered(["castle", "ship"]), numbered(["a_castle"])])
    assert vectors.shape == (2, encoder.width)
    assert vectors.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-6)


def test_a_text_is_the_sum_of_its_different_terms(encoder: Encoder) -> None:
    places = np.searchsorted(encoder.terms, numbered(["castle", "ship"]))
    whole = (encoder.table[places] * encoder.scales[places, None]).sum(axis=0)
    texts = [["castle", "ship"], ["ship", "castle", "castle"], ["ship", "unknown", "castle"]]
    for vector in encoder.vectors([numbered(one) for one in texts]):
        np.testing.assert_allclose(vector, whole / np.linalg.norm(whole), atol=1e-6)


def test_what_is_unknown_is_nothing(encoder: Encoder) -> None:
    vectors = encoder.vectors([numbered([]), numbered(["zebra", "zzz"]), numbered(["castle"]), numbered([])])
    assert not vectors[[0, 1, 3]].any()
    assert vectors[2].any()
    assert encoder.vectors([]).shape == (0, encoder.width)
    assert encoder.vectors([numbered([])]).shape == (1, encoder.width)


def test_many_texts_are_as_each_alone(encoder: Encoder) -> None:
    texts = [numbered([KNOWN[n % len(KNOWN)], KNOWN[n * n % len(KNOWN)]][: n % 3]) for n in range(2 * BLOCK + 3)]
    vectors = encoder.vectors(texts)
    for n in (0, 1, 2, BLOCK - 1, BLOCK, 2 * BLOCK, 2 * BLOCK + 2):
        np.testing.assert_allclose(vectors[n], encoder.vectors([texts[n]])[0], atol=1e-6)


def test_save_and_load(encoder: Encoder, tmp_path: Path) -> None:
    encoder.save(tmp_path / "encoder.safetensors")
    again = Encoder.load(tmp_path / "encoder.safetensors")
    texts = [numbered(["castle", "neon"])]
    assert np.array_equal(again.vectors(texts), encoder.vectors(texts))
