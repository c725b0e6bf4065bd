"""Every store that is installed is filled, opened, searched and changed, at a small size."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from diffagent_tools.benchmarks.catalog.corpus import Corpus
from diffagent_tools.benchmarks.catalog.generation import make_corpus
from diffagent_tools.benchmarks.catalog.stores import CONTENDERS
from tool_specs.naming import parse_spec_id

SPECS = 500


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Corpus:
    return make_corpus(tmp_path_factory.mktemp("corpus"), specs=SPECS, evidence=SPECS)


def measured(*options: str) -> tuple[list[dict], str]:
    """What the command prints: the figures and the tables."""
    command = [sys.executable, "-m", "diffagent_tools.benchmarks.catalog", "--specs", str(SPECS), *options]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    figures = [json.loads(line) for line in lines if line.startswith("{")]
    return figures, "\n".join(line for line in lines if not line.startswith("{"))


@pytest.mark.slow
@pytest.mark.parametrize("store", CONTENDERS)
def test_each_store_is_measured_in_processes_of_its_own(store: str) -> None:
    contender = CONTENDERS[store]
    if contender.lacking:
        pytest.skip(contender.lacking)
    (figures,), tables = measured("--store", store)
    assert (figures["store"], figures["specs"], figures["evidence"]) == (store, SPECS, SPECS)
    assert figures["filling"]["build_s"] > 0
    assert contender.title in tables
    if contender.searched:
        searching = figures["searching"]
        assert searching["queries"] >= 20
        assert 0 < searching["p50_ms"] <= searching["p99_ms"]
        assert searching["upsert_s"] > 0
    else:
        assert figures["searching"] is None


@pytest.mark.parametrize("store", [name for name, contender in CONTENDERS.items() if contender.searched])
def test_each_store_finds_what_it_holds_and_what_was_changed(store: str, corpus: Corpus, tmp_path: Path) -> None:
    contender = CONTENDERS[store]
    if contender.lacking:
        pytest.skip(contender.lacking)
    made = contender.load_searched()
    made(tmp_path, corpus).build()
    opened = made(tmp_path, corpus)
    opened.open()
    for batch in corpus.batches("specs"):
        for spec in batch[::50]:
            found = [parse_spec_id(name)[0] for name in opened.search(spec.text, spec.vector, 50)]
            assert parse_spec_id(spec.id)[0] in found
    change = corpus.changes()[0]
    opened.upsert(change)
    found = [parse_spec_id(name)[0] for name in opened.search(change.text.split()[0], change.vector, 50)]
    assert parse_spec_id(change.id)[0] in found
    opened.close()
