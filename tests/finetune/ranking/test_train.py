from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from finetune.ranking.data import Corpus, fold_of, read_corpus
from finetune.ranking.encoder import EncoderRecipe, train_encoder
from finetune.ranking.scorer import (
    Question,
    ScorerRecipe,
    load_questions,
    questions_of,
    save_questions,
    train_scorer,
)
from tests.finetune.ranking.made_up import write_corpus
from tool_specs.ranking.encoder import Encoder
from tool_specs.ranking.features import FEATURES
from tool_specs.ranking.texts import grams, numbered, words
from tool_specs.ranking.weights import RankingWeights

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[3]
ENCODER = EncoderRecipe(width=16, steps=60, rate=5e-3)
SCORER = ScorerRecipe(epochs=30, hidden=(16,))


@dataclass(frozen=True)
class Trained:
    """What came of a made-up corpus."""

    corpus: Corpus
    encoder: Encoder
    questions: list[Question]


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Trained]:
    """An encoder and the questions of one fold, with a cache of embeddings of their own."""
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("DIFFAGENT_HOME", str(tmp_path_factory.mktemp("home")))
        corpus = read_corpus(*write_corpus(tmp_path_factory.mktemp("corpus")))
        fold = fold_of(corpus, 5)
        encoder = train_encoder(corpus, fold.evidence, ENCODER)
        yield Trained(corpus, encoder, questions_of(corpus, fold, encoder, SCORER))


def vectors(encoder: Encoder, texts: list[str]) -> np.ndarray:
    return encoder.vectors([numbered(grams(words(text))) for text in texts])


def test_prompts_of_one_model_lie_together(trained: Trained) -> None:
    asked = ["a sketch of a castle and a moat", "a photo of a tower and a knight", "a painting of a whale and a reef"]
    near, far, _ = (vectors(trained.encoder, asked) @ vectors(trained.encoder, asked).T)[[0, 0, 1], [1, 2, 2]]
    assert near > far
    assert trained.encoder.table.dtype == np.int8
    assert trained.encoder.width == ENCODER.width
    assert np.all(np.diff(trained.encoder.terms.astype(np.int64)) > 0)


def test_questions_have_a_right_answer(trained: Trained) -> None:
    assert len(trained.questions) > 20
    for question in trained.questions:
        assert question.features.shape == (len(question.right), len(FEATURES))
        assert np.isfinite(question.features).all()
        assert question.right.sum() == 1
        assert 0 < question.weight <= 1


def test_questions_are_kept_whole(trained: Trained, tmp_path: Path) -> None:
    save_questions(trained.questions, tmp_path / "fold.npz")
    again = load_questions(tmp_path / "fold.npz")
    assert len(again) == len(trained.questions)
    for one, other in zip(again, trained.questions, strict=True):
        assert np.array_equal(one.features, other.features)
        assert np.array_equal(one.right, other.right)
        assert one.weight == pytest.approx(other.weight)
    assert [path.name for path in tmp_path.iterdir()] == ["fold.npz"]


def test_the_right_model_is_first_more_often_than_by_chance(trained: Trained, tmp_path: Path) -> None:
    """Trained on one half of the questions, asked the other."""
    learned, asked = trained.questions[::2], trained.questions[1::2]
    scorer = train_scorer(learned, SCORER)
    RankingWeights.of(trained.encoder, scorer).save(tmp_path / "weights.safetensors")
    again = RankingWeights.load(tmp_path / "weights.safetensors").scorer
    first = [bool(one.right[np.argmax(again.scores(one.features))]) for one in asked]
    chance = float(np.mean([1 / len(one.right) for one in asked]))
    assert np.mean(first) > max(0.5, 3 * chance), (np.mean(first), chance)


def test_training_can_be_repeated(trained: Trained) -> None:
    one, two = (train_scorer(trained.questions, SCORER, seed=3) for _ in range(2))
    assert np.array_equal(one.scores(trained.questions[0].features), two.scores(trained.questions[0].features))


def test_the_command_goes_on_where_it_stopped(tmp_path: Path) -> None:
    models, pairs = write_corpus(tmp_path)
    work, out = tmp_path / "work", tmp_path / "weights.safetensors"
    parts = work / "quick"
    command = [
        sys.executable, "-m", "finetune.ranking.train", "--models", models, "--pairs", pairs, "--work", work,
        "--out", out, "--quick", "--workers", "1",
    ]  # fmt: skip
    environment = {**os.environ, "DIFFAGENT_HOME": str(tmp_path / "home"), "OMP_NUM_THREADS": "1"}

    # Killed as soon as the first part is there.
    process = subprocess.Popen(command, cwd=ROOT, env=environment, stderr=subprocess.DEVNULL, start_new_session=True)
    until = time.monotonic() + 300
    while process.poll() is None and not (parts / "fold-5.npz").exists() and time.monotonic() < until:
        time.sleep(0.05)
    os.killpg(process.pid, 9)
    process.wait()
    assert not out.exists()
    kept = (parts / "fold-5.npz").stat().st_mtime_ns

    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False, timeout=300)
    assert done.returncode == 0, done.stderr
    assert "encoder.safetensors: done" in done.stderr
    assert (parts / "fold-5.npz").stat().st_mtime_ns == kept
    weights = RankingWeights.load(out)
    assert weights.scorer.means.shape == (len(FEATURES),)
    assert {path.name for path in parts.iterdir()} == {"fold-5.npz", "encoder.safetensors"}

    again = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False, timeout=300)
    assert again.returncode == 0, again.stderr
    assert RankingWeights.load(out).fingerprint == weights.fingerprint
