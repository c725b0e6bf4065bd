from __future__ import annotations

from contextlib import ExitStack
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from diffagent_tools.embeddings import MiniLMEmbedder
from finetune.cli.main import main
from finetune.dabench.pairs import Pair, write_pairs
from finetune.pocket.planner.dataset import pocket_pairs
from finetune.pocket.planner.worlds import pocket_world
from finetune.sfta.encoding import SampleRow
from finetune.sfta.sample_rows import SampleSettings, with_gold, write_samples
from tool_specs.catalog import Catalog
from tool_specs.exceptions import ConfigError
from tool_specs.search.ranked import RankedShortlister
from tool_specs.search.shortlist import AnyShortlister, Shortlister
from tool_specs.store.catalog import StoredCatalog
from tool_specs.store.database import CatalogDatabase


def odd_pairs() -> list[Pair]:
    """Two pairs as they should be, one whose model is gone, and two that say nothing."""
    first, second, *_ = (pair for pair in pocket_pairs(pocket_world(), {"train": 12}) if pair.call)
    gone = first.model_copy(update={"id": "gone", "call": {**(first.call or {}), "checkpoint": "civitai:77@88"}})
    odd = [second.model_copy(update={"id": f"odd-{n}", "instruction": "!!!"}) for n in range(2)]
    return [first, gone, *odd, second]


def test_a_file_holds_rows_of_one_making(planner: Path, tmp_path: Path) -> None:
    write_pairs(tmp_path / "data", pocket_pairs(pocket_world(), {"train": 4, "dev": 3}), card="# Pairs")
    settings = SampleSettings(model=str(planner), data=tmp_path / "data", out=tmp_path / "rows.jsonl")
    written = write_samples(settings)
    assert (written.rows > 0, written.left_out) == (True, ())
    assert write_samples(settings) == written
    for name, value in (("seed", 9), ("closed_book", True), ("split", "dev")):
        with pytest.raises(ConfigError, match=rf"was begun with another .*{name}"):
            write_samples(settings.model_copy(update={name: value}))


@pytest.mark.parametrize("ranked", [False, True])
def test_a_gold_model_that_retrieval_missed_has_its_reason_like_the_others(ranked: bool, tmp_path: Path) -> None:
    with ExitStack() as stack:
        shortlister: AnyShortlister = Shortlister(Catalog.pocket(), MiniLMEmbedder())
        if ranked:
            database = stack.enter_context(CatalogDatabase.open(tmp_path / "catalog"))
            with database.transaction() as writing:
                writing.put_specs(list(Catalog.pocket()), origin="dump")
            shortlister = RankedShortlister(StoredCatalog(database))
        pairs = [pair for pair in pocket_pairs(pocket_world(), {"train": 40}) if pair.call is not None]
        missed = 0
        for one, other in pairwise(pairs):
            pair = one.model_copy(update={"instruction": other.instruction})
            found = shortlister.shortlist(pair.instruction, 1)
            sample = with_gold(found, pair, shortlister, np.random.default_rng(0), size=3)
            assert {*pair.models} <= {spec.id for spec in sample.specs}
            wide = shortlister.shortlist(pair.instruction, 50)
            why = {hit.spec.id: hit.why for hit in (*wide.hits, *wide.networks)}
            assert all(hit.why == why[hit.spec.id] for hit in (*sample.hits, *sample.networks))
            assert all(hit.why for hit in sample.hits)
            missed += not {*pair.models} <= {spec.id for spec in found.specs}
        assert missed > 0


def test_pairs_without_a_row_are_counted_with_the_reason(
    planner: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_pairs(tmp_path / "data", odd_pairs(), card="# Pairs")
    out = tmp_path / "rows.jsonl"
    for _ in range(2):  # the second time, the rows are there already
        assert main(["samples", f"model={planner}", f"data={tmp_path / 'data'}", f"out={out}"]) == 0
        told = capsys.readouterr()
        assert told.out == f"2 rows: {out}\n"
        _, counts = told.err.split("left out:\n")
        assert counts.splitlines() == [
            "        2  the request '!!!' holds no words; say what the picture should show (first: 'odd-0')",
            "        1  a model is not in the catalog (first: 'gone')",
        ]
    ids = [SampleRow.model_validate_json(line).id for line in out.read_text().splitlines()]
    assert ids == [odd_pairs()[0].id, odd_pairs()[-1].id]
