from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from diffagent_tools.embeddings import MiniLMEmbedder
from diffagent_tools.planning import REFUSAL
from finetune.cli.main import main
from finetune.dabench.pairs import Pair, write_pairs
from finetune.pocket.planner.dataset import pocket_pairs
from finetune.pocket.planner.worlds import pocket_world
from finetune.sfta.encoding import SampleRow
from finetune.sfta.sample_rows import SampleSettings, pair_sample, with_gold, write_samples
from finetune.sfta.samples import Sample
from tests.stored_models import THEMES, furnish, prove, put, record
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


@pytest.fixture
def stored(tmp_path: Path) -> Iterator[RankedShortlister]:
    """Search over checkpoints and a LoRA that have two versions each."""
    kinds = dict.fromkeys(THEMES, "Checkpoint") | {20: "LORA"}
    with CatalogDatabase.open(tmp_path / "stored") as database:
        put(database, *(record(n, f"Model {n}", model_type=kind, bases=["SD 1.5"] * 2) for n, kind in kinds.items()))
        prove(database, [(text, number) for number, (*_, texts) in THEMES.items() for text in texts])
        yield RankedShortlister(StoredCatalog(database))


def stored_pair(n: int = 0, **call: object) -> Pair:
    """One whose gold models are versions that search does not offer."""
    gold = {"family": "sd15", "checkpoint": "civitai:2@21", "prompt": "a red dragon", **call}
    return Pair(
        id=f"pair-{n}", instruction="a red dragon breathing fire", reference="a dragon", call=gold, split="train"
    )


def told_settings(**changes: object) -> SampleSettings:
    return SampleSettings.model_validate({"model": "m", "data": "d", "out": "o", "absent": 0.0, **changes})


def test_a_gold_model_is_on_the_list_in_one_version(stored: RankedShortlister) -> None:
    pair = stored_pair(loras=[{"id": "civitai:20@201", "weight": 0.8}])
    assert {"civitai:2@22", "civitai:20@202"} <= {spec.id for spec in stored.shortlist(pair.instruction).specs}
    shortlist = with_gold(stored.shortlist(pair.instruction), pair, stored, np.random.default_rng(0), size=8)
    assert sorted(spec.id for spec in shortlist.specs) == sorted(
        ["civitai:1@12", "civitai:2@21", "civitai:3@32", "civitai:4@42", "civitai:5@52", "civitai:20@201"]
    )
    sample = pair_sample(pair, stored, told_settings())
    assert isinstance(sample, Sample)
    assert sample.answer["tool_calls"][0]["function"]["name"] in names_of(sample)


def test_where_the_gold_model_is_taken_away_none_of_its_versions_is_left(stored: RankedShortlister) -> None:
    sample = pair_sample(stored_pair(), stored, told_settings(absent=0.999))
    assert isinstance(sample, Sample)
    assert len(names_of(sample)) == len(THEMES) - 1
    assert not any("civitai_2_" in name for name in names_of(sample))
    assert sample.answer["content"] == REFUSAL
    assert not sample.answer.get("tool_calls")


def test_the_gold_model_stands_at_a_random_place(stored: RankedShortlister) -> None:
    places: Counter[int] = Counter()
    for n in range(200):
        sample = pair_sample(stored_pair(n), stored, told_settings())
        assert isinstance(sample, Sample)
        places[names_of(sample).index(sample.answer["tool_calls"][0]["function"]["name"])] += 1
    # Of 200 throws at five places, fewer than 20 at one of them has a chance of one in a million.
    assert sorted(places) == [0, 1, 2, 3, 4]
    assert min(places.values()) >= 20


def names_of(sample: Sample) -> list[str]:
    """The tools that are offered, in order."""
    return [tool["function"]["name"] for tool in sample.tools]


def test_rows_of_a_catalog_that_has_changed_are_not_mixed(planner: Path, tmp_path: Path) -> None:
    furnish(tmp_path / "catalog")
    call = {"family": "sd15", "checkpoint": "civitai:1@11", "prompt": "an old castle"}
    pair = Pair(id="one", instruction="a castle by a lake", reference="a castle", call=call, split="train")
    write_pairs(tmp_path / "data", [pair], card="# Castle")
    settings = SampleSettings(
        model=str(planner), data=tmp_path / "data", out=tmp_path / "rows.jsonl", catalog=tmp_path / "catalog"
    )
    assert write_samples(settings) == write_samples(settings)
    with CatalogDatabase.open(tmp_path / "catalog") as database:
        prove(database, [("a castle under water", 1)])
    with pytest.raises(ConfigError, match=r"was begun with another catalog"):
        write_samples(settings)


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
