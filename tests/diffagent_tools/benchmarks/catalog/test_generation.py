from __future__ import annotations

from pathlib import Path
from statistics import mean

import numpy as np
import pytest

from diffagent_tools.benchmarks.catalog.corpus import Corpus
from diffagent_tools.benchmarks.catalog.generation import QUERIES, make_corpus, search_text
from tool_specs.spec import ToolSpec


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Corpus:
    return make_corpus(tmp_path_factory.mktemp("corpus"), specs=1200, evidence=900)


@pytest.fixture(scope="module")
def specs(corpus: Corpus) -> list[ToolSpec]:
    return [ToolSpec.model_validate_json(entry.body) for batch in corpus.batches("specs") for entry in batch]


def test_there_is_as_much_of_everything_as_was_asked_for(corpus: Corpus, specs: list[ToolSpec]) -> None:
    assert (corpus.specs, corpus.evidence) == (1200, 900)
    assert len({spec.id for spec in specs}) == 1200
    assert len(corpus.queries()) == QUERIES


def test_specs_are_like_those_of_the_real_catalog(specs: list[ToolSpec]) -> None:
    assert 0.07 < mean(spec.is_checkpoint for spec in specs) < 0.13
    assert 50 < mean(len(spec.description.split()) for spec in specs) < 70
    assert 3 < mean(len(spec.tags) for spec in specs) < 7
    assert 1.4 < len(specs) / len({spec.model_id for spec in specs}) < 1.6
    assert all(spec.primary_file is not None and spec.primary_file.is_safe for spec in specs)
    assert all(not spec.trigger_words for spec in specs if spec.is_checkpoint)


def test_some_words_are_far_more_frequent_than_others(specs: list[ToolSpec]) -> None:
    words = [word for spec in specs for word in spec.description.split()]
    _, counts = np.unique(words, return_counts=True)
    counts[::-1].sort()
    assert counts[:50].sum() > len(words) / 4
    assert (counts == 1).sum() > len(counts) / 4


def test_entries_know_their_spec_and_lie_near_it(corpus: Corpus, specs: list[ToolSpec]) -> None:
    entries = {entry.id: entry for batch in corpus.batches("specs") for entry in batch}
    assert [search_text(spec) for spec in specs] == [entry.text for entry in entries.values()]
    for entry in [*corpus.queries(), *next(corpus.batches("evidence"))]:
        assert 0.4 < float(entry.vector @ entries[entry.id].vector) < 0.8
    assert all(abs(float(np.linalg.norm(entry.vector)) - 1) < 1e-5 for entry in entries.values())


def test_queries_have_five_to_forty_words(corpus: Corpus) -> None:
    lengths = [len(query.text.split()) for query in corpus.queries()]
    assert min(lengths) >= 5
    assert max(lengths) <= 40


def test_changes_rename_specs_to_what_no_other_is_called(corpus: Corpus, specs: list[ToolSpec]) -> None:
    for change in corpus.changes():
        name = change.text.split()[0]
        assert any(spec.id == change.id for spec in specs)
        assert ToolSpec.model_validate_json(change.body).model_name == name
        assert not any(name in search_text(spec) for spec in specs)


def test_the_same_numbers_give_the_same_corpus(tmp_path: Path) -> None:
    for name in ("one", "two"):
        make_corpus(tmp_path / name, specs=100, evidence=0)
    files = sorted(path.name for path in (tmp_path / "one").iterdir())
    assert files
    for name in files:
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes()


def test_without_evidence_only_the_specs_are_searched(tmp_path: Path) -> None:
    assert make_corpus(tmp_path, specs=100, evidence=0).searched == ("specs",)
