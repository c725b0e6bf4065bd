"""Search without the evidence that a data set was made of."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import pytest

from finetune.dabench.build import BuildSettings, build
from finetune.dabench.held_out_search import HeldOutShortlister, left_out_of
from finetune.dabench.pairs import Pair, read_pairs, splits_in, write_pairs
from tests.finetune.dabench.evidence_world import PARAMETERS, furnish, many, name_of, use
from tests.stored_models import put, record
from tool_specs.naming import model_id_of
from tool_specs.search.ranked import RankedShortlister
from tool_specs.search.shortlist import AnyShortlister
from tool_specs.store.catalog import StoredCatalog
from tool_specs.store.database import CatalogDatabase
from tool_specs.store.rows import Evidence

SPLITS = ("train", "dev", "test", "unseen", "time")


@dataclass(frozen=True)
class World:
    """A catalog and a data set made of it."""

    database: CatalogDatabase
    data: Path
    texts: dict[str, str]
    """Of the evidence, by id."""

    def shortlister(self) -> HeldOutShortlister:
        """Search for its pairs."""
        return HeldOutShortlister(StoredCatalog(self.database), left_out_of(self.database, self.data))


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    folder = tmp_path_factory.mktemp("world")
    records, pieces = many(300)
    # Evidence that is no pair because it lacks parameters, near to one that is.
    bare = [Evidence(f"{one.text}, close up", one.uses, {}, f"bare-{n}") for n, one in enumerate(pieces)]
    database = furnish(folder / "catalog", records, [*pieces, *bare])
    shares = dict.fromkeys(SPLITS[1:], 0.1)
    build(BuildSettings.model_validate({"out": folder / "data", "catalog": folder / "catalog", "splits": shares}))
    yield World(database, folder / "data", {one.id: one.text for one in (*pieces, *bare)})
    database.close()


def quotes(shortlister: AnyShortlister, pair: Pair, text: str) -> bool:
    """Whether a reason on the shortlist quotes what begins like a text."""
    found = shortlister.shortlist(pair.instruction)
    start = text[:75]
    return any(start in reason for hit in (*found.hits, *found.networks) for reason in hit.why)


@pytest.mark.parametrize("split", SPLITS)
def test_the_evidence_of_a_pair_does_not_stand_beside_its_question(world: World, split: str) -> None:
    everything = RankedShortlister(StoredCatalog(world.database))
    held_out = world.shortlister()
    pairs = read_pairs(world.data, split)[:12]
    given_away = [quotes(everything, pair, world.texts[pair.source]) for pair in pairs]
    assert sum(given_away) >= 0.8 * len(pairs) > 0
    assert not any(quotes(held_out, pair, world.texts[pair.source]) for pair in pairs)


def test_models_that_training_lacks_have_no_evidence(world: World) -> None:
    models = {
        split: {model_id_of(name) for pair in read_pairs(world.data, split) for name in pair.models}
        for split in splits_in(world.data)
    }
    held_back = models["unseen"] | models["time"]
    held_back -= models["train"]
    assert held_back
    for pair in islice(read_pairs(world.data, "unseen"), 10):
        found = world.shortlister().shortlist(pair.instruction, 50)
        reasons = {hit.spec.model_id: " ".join(hit.why) for hit in found.hits}
        assert not any("drew such requests" in reasons[one] for one in held_back & reasons.keys())
        assert any("drew such requests" in why for why in reasons.values())


def test_most_of_what_training_rests_on_is_there_for_each_of_its_pairs(world: World) -> None:
    left_out = left_out_of(world.database, world.data)
    train = read_pairs(world.data, "train")
    known = {number for fold in left_out.folds for number in fold} - left_out.always
    assert len(known) >= 2 * len(train) > 0
    assert max(len(fold) for fold in left_out.folds) < 0.25 * len(known)
    assert {pair.instruction for pair in train} == left_out.fold_of.keys()


def test_evidence_and_examples_that_say_the_same_are_left_out_wherever_a_pair_is_from(tmp_path: Path) -> None:
    records, pieces = many(60)
    said = "a glass piano on a frozen lake at midnight, northern lights"
    pieces.append(Evidence(f"{said}, detailed", (use(100),), PARAMETERS, "e-said"))
    with furnish(tmp_path / "catalog", records, pieces) as database:
        put(database, record(7, "Model 7", examples=[said, "a wooden piano in a quiet room"]))
        calls = [{"family": "sd15", "checkpoint": name, "prompt": said} for name in (name_of(7), name_of(100))]
        pairs = [
            Pair(id=f"{split}-{n}", instruction=f"Please draw {text}", reference=text, call=call, split=split)
            for n, call in enumerate(calls)
            for split, text in (("test", said), ("train", f"something quite different {n}"))
        ]
        write_pairs(tmp_path / "data", pairs, card="# Elsewhere")
        everything = RankedShortlister(StoredCatalog(database))
        held_out = HeldOutShortlister(StoredCatalog(database), left_out_of(database, tmp_path / "data"))
        (pair, *_) = (pair for pair in pairs if pair.split == "test")
        assert quotes(everything, pair, said)
        assert not quotes(held_out, pair, said)
        why = {hit.spec.model_id: hit.why for hit in held_out.shortlist("a wooden piano in a quiet room", 50).hits}
        assert "a wooden piano in a quiet room" in " ".join(why[7])
