from __future__ import annotations

from contextlib import ExitStack
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from diffagent_tools.embeddings import MiniLMEmbedder
from finetune.dabench.pairs import write_pairs
from finetune.pocket.planner.dataset import pocket_pairs
from finetune.pocket.planner.worlds import pocket_world
from finetune.sfta.sample_rows import SampleSettings, with_gold, write_samples
from tool_specs.catalog import Catalog
from tool_specs.exceptions import ConfigError
from tool_specs.search.ranked import RankedShortlister
from tool_specs.search.shortlist import AnyShortlister, Shortlister
from tool_specs.store.catalog import StoredCatalog
from tool_specs.store.database import CatalogDatabase


def test_a_file_holds_rows_of_one_making(planner: Path, tmp_path: Path) -> None:
    write_pairs(tmp_path / "data", pocket_pairs(pocket_world(), {"train": 4, "dev": 3}), card="# Pairs")
    settings = SampleSettings(model=str(planner), data=tmp_path / "data", out=tmp_path / "rows.jsonl")
    count = write_samples(settings)
    assert count > 0
    assert write_samples(settings) == count
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
