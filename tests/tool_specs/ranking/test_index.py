from __future__ import annotations

import shutil
import threading
from pathlib import Path

import numpy as np
import pytest

from tests.stored_models import STYLES, THEMES, filler, furnish, prove, put, record
from tests.tool_specs.ranking.processes import ROUNDS, start
from tool_specs.ranking.documents import CHECKPOINT, NETWORK
from tool_specs.ranking.encoder import Encoder
from tool_specs.ranking.features import Request
from tool_specs.ranking.index import MAX_EXAMPLES, CatalogIndex, example_number, plain_request
from tool_specs.ranking.ranking import rank
from tool_specs.ranking.weights import RankingWeights
from tool_specs.store.database import CatalogDatabase

REQUESTS = ("a castle on a hill", "a dragon in the clouds", "ink wash mountains", "neon", "a lighthouse", "")


def ranked(index: CatalogIndex, text: str, kind: int = CHECKPOINT) -> dict[int, float]:
    """The score of each model, best first."""
    view = index.view()
    requests = Request.read([text], index.weights.encoder)
    ((found,),) = rank(view, index.weights.scorer, requests, [view.kind == kind])
    ids = view.models.ids[found.rows].tolist()
    return dict(zip(ids, found.scores.tolist(), strict=True))


def texts(index: CatalogIndex, model_id: int) -> int:
    """How many prompts speak for a model."""
    view = index.view()
    rows = np.flatnonzero((view.models.ids == model_id) & (view.kind >= 0))
    return int(view.count[rows[0]]) if len(rows) else -1


def assert_same(one: CatalogIndex, other: CatalogIndex) -> None:
    """Both rank alike, but for what was replaced, which counts as a word's use until the next base is made."""
    for text in REQUESTS:
        for kind in (CHECKPOINT, NETWORK):
            first, second = ranked(one, text, kind), ranked(other, text, kind)
            assert first.keys() == second.keys(), text
            assert first == pytest.approx(second, abs=0.02), text


def test_an_empty_catalog(tmp_path: Path) -> None:
    with CatalogDatabase.open(tmp_path) as database:
        index = CatalogIndex(database)
        assert ranked(index, "a castle") == {}
        put(database, record(1, "Fortress"))
        assert list(ranked(index, "a castle")) == [1]


def test_models_are_found_by_what_they_were_used_for(database: CatalogDatabase) -> None:
    index = CatalogIndex(database)
    for themes, kind in ((THEMES, CHECKPOINT), (STYLES, NETWORK)):
        for number, (*_, asked) in themes.items():
            for text in asked:
                assert next(iter(ranked(index, text, kind))) == number, text


def test_a_view_is_made_once_until_something_changes(database: CatalogDatabase) -> None:
    index = CatalogIndex(database)
    view = index.view()
    assert index.view() is view
    with database.transaction() as writing:
        writing.put_note("page", 3)
    assert index.view() is view
    prove(database, [("a castle of sand", 1)])
    assert index.view() is not view
    assert view.prompts.base is index.view().prompts.base


def test_one_spec_more_less_or_changed(database: CatalogDatabase) -> None:
    index = CatalogIndex(database)
    base = index.view().models.base
    assert 50 not in ranked(index, "a lighthouse")
    put(database, record(50, "Lighthouse", tags=["lighthouse"]))
    assert next(iter(ranked(index, "a lighthouse"))) == 50
    put(database, record(50, "Windmill", tags=["windmill"]))
    assert next(iter(ranked(index, "a windmill"))) == 50
    put(database, record(51, "Lighthouse", tags=["lighthouse"]))
    assert next(iter(ranked(index, "a lighthouse"))) == 51
    with database.transaction() as writing:
        writing.remove(["civitai:51@511"])
    assert 51 not in ranked(index, "a lighthouse")
    assert index.view().models.base is base
    assert_same(index, CatalogIndex(database))


def test_one_version_of_two_goes(database: CatalogDatabase) -> None:
    index = CatalogIndex(database)
    put(database, record(50, "Lighthouse", bases=("SDXL 1.0", "SD 1.5")))
    view = index.view()
    row = int(np.flatnonzero((view.models.ids == 50) & (view.kind >= 0))[0])
    assert view.models.column("version")[row] == 502
    with database.transaction() as writing:
        writing.remove(["civitai:50@502"])
    view = index.view()
    row = int(np.flatnonzero((view.models.ids == 50) & (view.kind >= 0))[0])
    assert view.models.column("version")[row] == 501


def test_one_piece_of_evidence_more_or_changed(database: CatalogDatabase) -> None:
    index = CatalogIndex(database)
    text = "a lighthouse keeper's cat by the stove"
    before = ranked(index, text)
    prove(database, [(text, 4)])
    assert next(iter(ranked(index, text))) == 4
    assert ranked(index, text)[4] > before[4]
    # The same prompt, now of two models.
    prove(database, [(text, 2)])
    assert set(list(ranked(index, text))[:2]) == {2, 4}
    assert texts(index, 2) == texts(index, 4) == 4
    assert_same(index, CatalogIndex(database))


def test_evidence_may_come_before_its_model(database: CatalogDatabase) -> None:
    index = CatalogIndex(database)
    prove(database, [("a lighthouse in a storm", 60)])
    assert 60 not in ranked(index, "a lighthouse in a storm")
    put(database, record(60, "Model 60", examples=["a lighthouse in a storm at night"]))
    assert next(iter(ranked(index, "a lighthouse in a storm"))) == 60
    assert texts(index, 60) == 1


def test_examples_stand_in_until_there_is_evidence(database: CatalogDatabase) -> None:
    index = CatalogIndex(database)
    examples = ["a (lighthouse:1.2) at dawn <lora:x:0.8>", "a lighthouse in fog"]
    put(database, record(60, "Model 60", examples=examples))
    assert texts(index, 60) == 2
    assert next(iter(ranked(index, "a lighthouse at dawn"))) == 60
    put(database, record(60, "Model 60", examples=examples[:1]))
    assert texts(index, 60) == 1
    prove(database, [("a bowl of soup", 60)])
    assert texts(index, 60) == 1
    # What was an example is evidence for nothing any more, also not after the model changed.
    put(database, record(60, "Model 60", examples=examples, tags=["new"]))
    assert texts(index, 60) == 1
    assert_same(index, CatalogIndex(database))


def test_an_example_is_what_somebody_would_ask_for() -> None:
    assert plain_request("a (red:1.3) [fox], ((ink)) BREAK <lora:style:0.7> \\(x\\)") == "a red fox , ink x"
    numbers = {example_number(model_id, n) for model_id in (1, 2, 2**32) for n in range(MAX_EXAMPLES)}
    assert len(numbers) == 3 * MAX_EXAMPLES
    assert max(numbers) < 0


def test_after_a_restart_it_is_as_before(folder: Path) -> None:
    with CatalogDatabase.open(folder) as database:
        CatalogIndex(database).view()
        (kept,) = (folder / "index").iterdir()
        put(
            database,
            record(50, "Lighthouse", examples=["a lighthouse"]),
            record(1, "Fortress", tags=["castle", "keep"]),
        )
        prove(database, [("a keep on a rock", 1)])
        running = CatalogIndex(database)
        before = [ranked(running, text) for text in REQUESTS]
        assert [path.name for path in (folder / "index").iterdir()] == [kept.name]
    with CatalogDatabase.open(folder, read_only=True) as database:
        opened = CatalogIndex(database)
        assert isinstance(opened.view().models.base.columns["vector"], np.memmap)
        assert len(opened.view().models.tail) == 2
        assert [ranked(opened, text) for text in REQUESTS] == before
        (folder / "index").rename(folder / "away")
        (folder / "index").write_text("in the way")
        fresh = CatalogIndex(database)
        assert not isinstance(fresh.view().models.base.columns["vector"], np.memmap)
        assert_same(opened, fresh)


def test_versions_that_came_in_any_order_are_indexed_alike(folder: Path) -> None:
    """More trigger words and examples than are indexed: which of them are must not depend on who came first."""
    old = record(70, "Model 70", words=[f"old{n}" for n in range(30)], examples=[f"old picture {n}" for n in range(10)])
    new = record(70, "Model 70", words=[f"new{n}" for n in range(30)], examples=[f"new picture {n}" for n in range(10)])
    new["modelVersions"][0]["id"] = 999
    with CatalogDatabase.open(folder) as database:
        running = CatalogIndex(database)
        running.view()
        put(database, old)
        put(database, new)
        running.view()
        fresh = CatalogIndex(database, weights=other_weights(running.weights))
        for text in ("old3", "new3", "new picture 4", "old picture 4"):
            one, two = (index.view() for index in (running, fresh))
            asked = Request.read([text], running.weights.encoder)[0]
            ones = np.ones(len(asked.grams), dtype=np.float32)
            scores = [
                {view.models.ids[n] for n in np.flatnonzero(view.models.scores("text", asked.grams, ones))}
                for view in (one, two)
            ]
            assert scores[0] == scores[1], text
            prompts = [
                set(
                    view.prompts.ids[
                        (view.prompts.scores("grams", asked.grams, ones) > 0) & view.prompts.alive
                    ].tolist()
                )
                for view in (one, two)
            ]
            assert prompts[0] == prompts[1], text


def other_weights(weights: RankingWeights) -> RankingWeights:
    """The same with a vector changed, as another release would bring them."""
    table = weights.encoder.table.copy()
    table[0] = -table[0]
    return RankingWeights.of(Encoder(weights.encoder.terms, table, weights.encoder.scales), weights.scorer)


def test_other_weights_make_an_index_of_their_own(database: CatalogDatabase, folder: Path) -> None:
    index = CatalogIndex(database)
    index.view()
    other = CatalogIndex(database, weights=other_weights(index.weights))
    assert not isinstance(other.view().models.base.columns["vector"], np.memmap)


def test_the_index_of_another_catalog_is_not_used(folder: Path, tmp_path: Path) -> None:
    with CatalogDatabase.open(folder) as database:
        CatalogIndex(database).view()
    other = tmp_path / "other"
    with CatalogDatabase.open(other) as database:
        put(database, *filler(60))
        (folder / "index").rename(other / "index")
        assert database.version > 29
        assert set(ranked(CatalogIndex(database), "a castle")) == set(range(1000, 1060))


def test_an_index_newer_than_the_catalog_is_not_used(folder: Path) -> None:
    """The catalog was put back from a copy of last week, the index was not."""
    copy = shutil.copy(folder / "catalog.sqlite", folder / "copy.sqlite")
    with CatalogDatabase.open(folder) as database:
        put(database, record(1, "Emptied"), *filler(3))
        CatalogIndex(database).view()
    for path in folder.glob("catalog.sqlite*"):
        path.unlink()
    Path(copy).rename(folder / "catalog.sqlite")
    with CatalogDatabase.open(folder) as database:
        assert set(ranked(CatalogIndex(database), "a castle")) == set(THEMES)


def test_a_damaged_index_is_made_again(folder: Path) -> None:
    with CatalogDatabase.open(folder) as database:
        expected = ranked(CatalogIndex(database), "a castle")
        (kept,) = (folder / "index").iterdir()
        for path in sorted(kept.rglob("*.*")):
            content = path.read_bytes()
            path.write_bytes(content[:-1])
            assert ranked(CatalogIndex(database), "a castle") == pytest.approx(expected, abs=1e-4), path
            assert path.read_bytes() == content, path


def test_much_change_makes_a_new_base(folder: Path) -> None:
    with CatalogDatabase.open(folder) as database:
        index = CatalogIndex(database)
        index.view()
        before = {path.name for path in (folder / "index").iterdir()}
        with database.transaction() as writing:
            writing.remove(["civitai:2@21"])
        put(database, *filler(2100))
        assert len(index.view().models.tail) == 0
        assert len(index.view().models) == 2100 + len(THEMES) + len(STYLES) - 1
        after = {path.name for path in (folder / "index").iterdir()}
        assert len(after) == 1
        assert after.isdisjoint(before)


def test_threads_search_while_one_writes(database: CatalogDatabase) -> None:
    index = CatalogIndex(database)
    done = threading.Event()
    faults: list[BaseException] = []
    searched: list[int] = []

    def search() -> None:
        last = 0
        while not done.is_set() or not last:
            try:
                found = ranked(index, "a castle on a hill")
                assert next(iter(found)) == 1
                assert len(found) >= last
                last = len(found)
                searched.append(last)
            except BaseException as error:  # noqa: BLE001 - told below
                faults.append(error)
                return

    threads = [threading.Thread(target=search) for _ in range(3)]
    for thread in threads:
        thread.start()
    for n in range(20):
        put(database, record(300 + n, f"Lantern {n}", tags=["lantern"], examples=[f"lantern {n}"]))
        prove(database, [(f"a lantern with {n} candles", 300 + n)])
    done.set()
    for thread in threads:
        thread.join(timeout=60)
    assert not faults, faults
    assert len(searched) >= 3
    assert len(ranked(index, "a castle")) == len(THEMES) + 20


def test_two_processes_search_while_another_writes(folder: Path) -> None:
    readers = [start("search", folder) for _ in range(2)]
    writer = start("write", folder)
    processes = [*readers, writer]
    try:
        assert writer.wait(timeout=120) == 0
        told = [reader.communicate(timeout=120)[0] for reader in readers]
        assert [reader.returncode for reader in readers] == [0, 0]
        assert all(int(one) >= len(THEMES) + len(STYLES) for one in told)
    finally:
        for process in processes:
            process.kill()
    with CatalogDatabase.open(folder) as database:
        index = CatalogIndex(database)
        held = len(THEMES) + len(STYLES) + 1 + ROUNDS // 2
        assert int(index.view().models.alive.sum()) == held


def test_what_another_process_wrote_is_seen_by_the_next_view(folder: Path) -> None:
    with CatalogDatabase.open(folder, read_only=True) as database:
        index = CatalogIndex(database)
        assert 200 not in ranked(index, "a windmill")
        assert start("write", folder).wait(timeout=120) == 0
        assert next(iter(ranked(index, f"windmill {ROUNDS - 1}"))) == 200
        assert {100, 102} <= ranked(index, "a lantern").keys()
        assert 101 not in ranked(index, "a lantern")
        assert next(iter(ranked(index, "lantern number 4 in the fog"))) == 104


def test_two_catalogs_in_one_process(tmp_path: Path) -> None:
    furnish(tmp_path / "a")
    with CatalogDatabase.open(tmp_path / "a") as one, CatalogDatabase.open(tmp_path / "b") as two:
        put(two, record(1, "Fortress"))
        assert len(ranked(CatalogIndex(one), "a castle")) == len(THEMES)
        assert len(ranked(CatalogIndex(two), "a castle")) == 1
