from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from tool_specs.exceptions import CatalogError
from tool_specs.ranking.encoder import Encoder
from tool_specs.ranking.features import FEATURES
from tool_specs.ranking.scorer import MAX_DEVIATIONS, Scorer
from tool_specs.ranking.texts import numbered
from tool_specs.ranking.weights import RankingWeights, shipped_weights


@pytest.fixture
def weights(encoder: Encoder) -> RankingWeights:
    generator = np.random.default_rng(1)
    widths = (len(FEATURES), 5, 1)
    layers = [
        (generator.normal(size=shape).astype(np.float32), generator.normal(size=shape[1]).astype(np.float32))
        for shape in itertools.pairwise(widths)
    ]
    ones = np.ones(len(FEATURES), dtype=np.float32)
    return RankingWeights.of(encoder, Scorer(0 * ones, ones, layers))


def test_save_and_load(weights: RankingWeights, tmp_path: Path) -> None:
    weights.save(tmp_path / "w.safetensors")
    again = RankingWeights.load(tmp_path / "w.safetensors")
    features = np.random.default_rng(2).normal(size=(4, len(FEATURES))).astype(np.float32)
    assert np.array_equal(again.scorer.scores(features), weights.scorer.scores(features))
    assert np.array_equal(
        again.encoder.vectors([numbered(["castle"])]), weights.encoder.vectors([numbered(["castle"])])
    )
    assert again.fingerprint == weights.fingerprint


def test_the_scorer_by_hand() -> None:
    one = np.ones(2, dtype=np.float32)
    layers = [
        (np.array([[1, -1], [2, 1]], dtype=np.float32), np.array([0, 1], dtype=np.float32)),
        (np.array([[1], [10]], dtype=np.float32), np.array([0.5], dtype=np.float32)),
    ]
    scorer = Scorer(one, 2 * one, layers)
    # (3, 1) is one deviation above the mean and at it: hidden (1, 0), the second one cut off at 0.
    assert scorer.scores(np.array([[3, 1], [1, 1]], dtype=np.float32)).tolist() == [1.5, 10.5]
    far, further = scorer.scores(np.array([[1 + 2 * MAX_DEVIATIONS, 1], [1e6, 1]], dtype=np.float32))
    assert far == further
    assert scorer.scores(np.zeros((0, 2), dtype=np.float32)).shape == (0,)


def test_the_fingerprint_tells_encoders_apart(weights: RankingWeights) -> None:
    encoder = weights.encoder
    others = [
        replace(encoder, table=-encoder.table),
        replace(encoder, scales=encoder.scales * np.arange(1, len(encoder.scales) + 1, dtype=np.float32)),
        replace(encoder, terms=encoder.terms + np.uint32(1)),
    ]
    prints = {RankingWeights.of(one, weights.scorer).fingerprint for one in (encoder, *others)}
    assert len(prints) == 4


def test_those_that_ship_are_there() -> None:
    assert shipped_weights() is shipped_weights()
    assert shipped_weights().scorer.means.shape == (len(FEATURES),)
    vectors = shipped_weights().encoder.vectors([numbered(["castle"]), numbered(["dragon"])])
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)


def cut_off(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-100])


def no_header(path: Path) -> None:
    path.write_bytes(b"\xff" * 1000)


def empty(path: Path) -> None:
    path.write_bytes(b"")


def other_features(path: Path) -> None:
    save_file(load_file(path), path, metadata={"features": " ".join(FEATURES[:-1])})


def no_metadata(path: Path) -> None:
    save_file(load_file(path), path)


def without(name: str) -> Callable[[Path], None]:
    def lacks(path: Path) -> None:
        arrays = {key: value for key, value in load_file(path).items() if not key.startswith(name)}
        save_file(arrays, path, metadata={"features": " ".join(FEATURES)})

    return lacks


DAMAGES = [
    Path.unlink, cut_off, no_header, empty, other_features, no_metadata, without("encoder.table"),
    without("scorer.means"), without("scorer.0.weights"), without("scorer.0"), without("scorer."),
]  # fmt: skip


@pytest.mark.parametrize("damage", DAMAGES)
def test_weights_that_cannot_be_used(weights: RankingWeights, tmp_path: Path, damage: Callable[[Path], None]) -> None:
    path = tmp_path / "w.safetensors"
    weights.save(path)
    damage(path)
    with pytest.raises(CatalogError) as caught:
        RankingWeights.load(path)
    text = str(caught.value)
    assert str(path) in text
    assert "reinstall the package, or train it again" in text
    assert "\n" not in text
    assert len(text) < 500
