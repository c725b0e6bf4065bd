from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from finetune.ranking.data import MIN_PROMPTS, NEAR_DUPLICATE, Corpus, fold_of, near_duplicates, read_corpus
from tests.finetune.ranking.made_up import PROMPTS, WORDS, write_corpus
from tests.stored_models import record
from tool_specs.exceptions import CatalogError
from tool_specs.ranking.texts import words

TEXT = st.lists(st.sampled_from("abcdefghijkl"), min_size=1, max_size=12).map(" ".join)


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Corpus:
    return read_corpus(*write_corpus(tmp_path_factory.mktemp("corpus")))


def overlap(first: str, second: str) -> float:
    one, two = set(words(first)), set(words(second))
    return len(one & two) / len(one | two) if one | two else 0.0


@settings(deadline=None)
@given(st.lists(TEXT, min_size=1, max_size=25), st.integers(1, 30))
def test_near_duplicates_against_every_pair(texts: list[str], block: int) -> None:
    groups = near_duplicates(texts, block=block).tolist()
    expected = list(range(len(texts)))
    for n, first in enumerate(texts):
        for m, second in enumerate(texts[:n]):
            if overlap(first, second) >= NEAR_DUPLICATE - 1e-9:
                old, new = expected[n], expected[m]
                expected = [new if one == old else one for one in expected]
    same = [[one == other for other in groups] for one in groups]
    assert same == [[one == other for other in expected] for one in expected]


def test_the_order_and_the_case_of_words_is_nothing() -> None:
    groups = near_duplicates(["A red fox, sitting", "fox sitting red a", "a red fox", "!!!", "", "a red fox"])
    assert groups[0] == groups[1]
    assert groups[2] == groups[5] != groups[0]
    assert len(set(groups.tolist())) == 4


def test_duplicates_of_duplicates_are_of_one_group() -> None:
    long = [f"w{n}" for n in range(40)]
    chain = [" ".join(long[n : n + 30]) for n in range(0, 8, 1)]
    assert len(set(near_duplicates(chain).tolist())) == 1


def test_a_corpus_is_read_as_an_import_reads_it(corpus: Corpus) -> None:
    assert len(corpus.models) == len(WORDS)
    assert len(corpus.prompts) == len(corpus.groups) == len(WORDS) * PROMPTS
    assert corpus.models[0][0].name == "Model 1"
    assert {prompt.model_ids for prompt in corpus.prompts} == {(n,) for n in range(1, len(WORDS) + 1)}


def test_versions_of_a_model_are_one_entry(tmp_path: Path) -> None:
    models, pairs = write_corpus(tmp_path)
    models.write_text(json.dumps(record(5, "Two", bases=("SDXL 1.0", "SD 1.5"))) + "\n" + json.dumps({"id": 9}))
    assert [[one.base_model for one in model] for model in read_corpus(models, pairs).models] == [
        ["SDXL 1.0", "SD 1.5"]
    ]


def test_evaluation_pairs_are_refused(tmp_path: Path) -> None:
    models, pairs = write_corpus(tmp_path)
    pairs.write_text(json.dumps({"id": "unseen-dev-1", "text": "a fox", "gold": [{"model_id": 1}]}))
    with pytest.raises(CatalogError, match="evaluation pair"):
        read_corpus(models, pairs)


@pytest.mark.parametrize("seed", range(8))
def test_a_fold_holds_back_what_it_asks(corpus: Corpus, seed: int) -> None:
    fold = fold_of(corpus, seed)
    evidence, seen, unseen = set(fold.evidence), set(fold.seen), set(fold.unseen)
    assert evidence
    assert seen
    assert unseen
    assert not evidence & seen
    assert not evidence & unseen
    assert not seen & unseen
    # No near-duplicate of a request is evidence.
    groups = corpus.groups
    known = set(groups[list(evidence)].tolist())
    assert not known & set(groups[[*seen, *unseen]].tolist())
    # Models that are unseen have no evidence, and all their prompts are asked.
    models = [set(prompt.model_ids) for prompt in corpus.prompts]
    assert fold.unseen_models
    assert all(fold.unseen_models.isdisjoint(models[n]) for n in evidence | seen)
    assert unseen == {n for n, own in enumerate(models) if own & fold.unseen_models}
    # Models that are seen have enough.
    counts = {model: sum(model in models[n] for n in evidence) for own in models for model in own}
    assert all(max(counts[model] for model in models[n]) >= MIN_PROMPTS for n in seen)


def test_folds_differ_by_their_seed_alone(corpus: Corpus) -> None:
    assert fold_of(corpus, 5) == fold_of(corpus, 5)
    assert fold_of(corpus, 5) != fold_of(corpus, 6)


def test_near_duplicates_stay_together(corpus: Corpus) -> None:
    """All prompts in three groups: a fold takes whole groups or none of them."""
    few = Corpus(corpus.models, corpus.prompts, np.arange(len(corpus.prompts)) // 40)
    for seed in range(5):
        fold = fold_of(few, seed)
        for part in (fold.evidence, fold.seen):
            for group in {n // 40 for n in part}:
                others = {n for n in range(len(few.prompts)) if n // 40 == group}
                assert not others & (set(range(len(few.prompts))) - set(part) - set(fold.seen) - set(fold.evidence))
