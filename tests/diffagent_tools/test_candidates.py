from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import get_args

import pytest

from diffagent_tools.candidates import ModelType, candidate, find_models
from tests.stored_models import put, record, theme_records
from tool_specs.exceptions import RequestError
from tool_specs.search.ranked import RankedShortlister
from tool_specs.search.shortlist import Hit, Shortlister
from tool_specs.spec import CHECKPOINT_TYPES, NETWORK_TYPES
from tool_specs.store.catalog import StoredCatalog
from tool_specs.store.database import CatalogDatabase


@pytest.fixture
def stored(tmp_path: Path) -> Iterator[RankedShortlister]:
    """A catalog with forty LoRAs of dragons and one DoRA that has nothing to do with them."""
    with CatalogDatabase.open(tmp_path) as database:
        loras = [record(n, f"Dragon {n}", model_type="LORA", tags=["dragon"]) for n in range(100, 140)]
        put(database, *theme_records(), *loras, record(200, "Clay", model_type="DoRA"))
        yield RankedShortlister(StoredCatalog(database))


def ids(hits: list[Hit]) -> list[int]:
    return [hit.spec.model_id for hit in hits]


def test_every_type_that_a_call_can_name_can_be_searched_for() -> None:
    assert set(get_args(ModelType)) == CHECKPOINT_TYPES | NETWORK_TYPES


def test_checkpoints_and_networks_take_turns(stored: RankedShortlister) -> None:
    hits, fits = find_models(stored, "a dragon", 5)
    assert fits
    assert [hit.spec.is_checkpoint for hit in hits] == [True, False, True, False, True]
    found = stored.shortlist("a dragon", 5)
    assert hits[::2] == list(found.hits[:3])
    assert hits[1::2] == list(found.networks[:2])


def test_when_one_kind_runs_out_the_other_fills_the_places(shortlister: Shortlister) -> None:
    hits, _ = find_models(shortlister, "a cat", 20)
    assert [hit.spec.is_checkpoint for hit in hits] == [True, False] * 4 + [False] * 3


def test_a_rare_type_is_found_behind_many_of_another(stored: RankedShortlister) -> None:
    assert not any(hit.spec.type == "DoRA" for hit in stored.shortlist("a dragon", 8).networks)
    assert ids(find_models(stored, "a dragon", 1, "DoRA")[0]) == [200]
    assert ids(find_models(stored, "a dragon", 3, "DoRA")[0]) == [200]
    assert find_models(stored, "a dragon", 3, "TextualInversion")[0] == []


def test_only_so_many_of_a_type(stored: RankedShortlister) -> None:
    for model_type in ("Checkpoint", "LORA"):
        hits, _ = find_models(stored, "a dragon", 3, model_type)
        assert [hit.spec.type for hit in hits] == [model_type] * 3


@pytest.mark.parametrize("k", [0, -2])
def test_a_useless_number_is_refused(shortlister: Shortlister, k: int) -> None:
    with pytest.raises(RequestError, match=f"a shortlist of {k} models"):
        find_models(shortlister, "a cat", k, "LORA")


def test_as_plain_data(shortlister: Shortlister) -> None:
    hit = find_models(shortlister, "a kitten", 1)[0][0]
    assert candidate(hit) == {
        "id": "civitai:9001@9101", "name": "Pocket Animals", "tool": "civitai_9001_pocket_animals",
        "type": "Checkpoint", "family": "pocket", "score": round(hit.score, 4), "why": list(hit.why), "matched": True,
    }  # fmt: skip
