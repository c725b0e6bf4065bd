from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.tool_specs.conftest import SpecMaker
from tests.tool_specs.store.processes import numbered_spec
from tool_specs.civitai.records import SetAside, specs_of
from tool_specs.exceptions import CatalogError, ConfigError
from tool_specs.home import catalog_folder, home_folder
from tool_specs.spec import (
    Example,
    FileHashes,
    License,
    LoraUse,
    MeasuredReward,
    ModelFile,
    Recommended,
    Spread,
    Stats,
    ToolSpec,
)
from tool_specs.store.database import CatalogDatabase
from tool_specs.store.rows import Counts, LocalFile, Origin


def put(database: CatalogDatabase, *specs: ToolSpec, origin: Origin = "api") -> Counts:
    with database.transaction() as writing:
        return writing.put_specs(specs, origin=origin)


def changed_ids(database: CatalogDatabase, since: int) -> dict[str, bool]:
    """What changed, and whether it is still there."""
    return {change.spec_id: change.spec is not None for change in database.spec_changes(since, database.version)}


TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=40)
NUMBERS = st.floats(allow_nan=False, allow_infinity=False)
COUNTS = st.none() | st.integers(0, 2**40)
SPREADS = st.builds(Spread, median=NUMBERS, low=NUMBERS, high=NUMBERS)
FILES = st.builds(
    ModelFile,
    id=st.integers(0, 2**40),
    name=TEXT,
    type=TEXT,
    format=TEXT,
    size_kb=st.floats(0, 1e12),
    sha256=st.none() | st.from_regex(r"\A[0-9A-F]{64}\Z"),
    hashes=st.builds(FileHashes, AutoV2=TEXT),
    download_url=TEXT,
)
EXAMPLES = st.builds(
    Example,
    prompt=TEXT,
    negative_prompt=TEXT,
    cfg_scale=st.none() | NUMBERS,
    seed=st.none() | st.integers(-1, 2**64),
    loras=st.lists(st.builds(LoraUse, id=TEXT.filter(bool), weight=st.floats(-2, 2)), max_size=2).map(tuple),
)
SPECS = st.builds(
    ToolSpec,
    id=st.integers(1, 50).map(lambda n: f"civitai:{n}@{n}"),
    model_id=st.integers(1, 2**32),
    version_id=st.integers(1, 2**32),
    model_name=TEXT,
    version_name=TEXT,
    type=TEXT,
    base_model=TEXT,
    family=TEXT,
    description=TEXT,
    tags=st.lists(TEXT, max_size=3).map(tuple),
    trigger_words=st.lists(TEXT, max_size=3).map(tuple),
    files=st.lists(FILES, max_size=2).map(tuple),
    license=st.builds(License, commercial_use=st.sampled_from([(), ("Image", "Sell")])),
    stats=st.builds(Stats, downloads=COUNTS, thumbs_up=COUNTS, rating=st.none() | st.floats(0, 5)),
    creator=st.none() | TEXT,
    recommended=st.builds(
        Recommended,
        sampler=TEXT,
        steps=SPREADS,
        cfg_scale=SPREADS,
        width=st.integers(),
        height=st.integers(),
        clip_skip=st.integers(),
        weight=st.none() | SPREADS,
        widths=SPREADS,
        heights=SPREADS,
        n=st.integers(0, 2**40),
    ),
    examples=st.lists(EXAMPLES, max_size=2).map(tuple),
    rewards=st.lists(
        st.builds(MeasuredReward, reward=TEXT, mean=NUMBERS, std=st.floats(0, 9), n=st.integers(1, 9)), max_size=1
    ).map(tuple),
)


@pytest.fixture(scope="module")
def long_lived(tmp_path_factory: pytest.TempPathFactory) -> Iterator[CatalogDatabase]:
    with CatalogDatabase.open(tmp_path_factory.mktemp("long")) as opened:
        yield opened


@given(specs=st.lists(SPECS, max_size=4))
def test_a_spec_comes_back_as_it_went(long_lived: CatalogDatabase, specs: list[ToolSpec]) -> None:
    before = long_lived.version
    last = {spec.id: spec for spec in specs}
    counts = put(long_lived, *specs)
    assert counts.added + counts.changed + counts.unchanged == len(specs)
    assert long_lived.specs(list(last)) == last
    changes = {change.spec_id: change.spec for change in long_lived.spec_changes(before, long_lived.version)}
    assert changes.items() <= last.items()
    version = long_lived.version
    assert put(long_lived, *last.values()) == Counts(unchanged=len(last))
    assert long_lived.version == version


def test_real_records_come_back_as_they_went(database: CatalogDatabase, real_records: list[dict[str, object]]) -> None:
    specs = {spec.id: spec for record in real_records[:1500] for spec in specs_of(record).specs}
    assert put(database, *specs.values()) == Counts(added=len(specs))
    assert {spec.id: spec for spec in database.all_specs()} == specs
    changes = list(database.spec_changes(0, database.version))
    assert [change.spec for change in changes] == list(specs.values())
    assert [change.seq for change in changes] == sorted({change.seq for change in changes})


def test_only_what_differs_is_written(database: CatalogDatabase) -> None:
    assert put(database, numbered_spec(1), numbered_spec(2)) == Counts(added=2)
    before = database.version
    numbers = {change.spec_id: change.number for change in database.spec_changes(0, before)}
    assert put(database, numbered_spec(1), numbered_spec(2, 1), numbered_spec(3)) == Counts(1, 1, 1)
    assert changed_ids(database, before) == {"civitai:2@102": True, "civitai:3@103": True}
    later = {change.spec_id: change.number for change in database.spec_changes(0, database.version)}
    assert numbers.items() <= later.items()
    assert list(database.spec_changes(before, before)) == []


def test_of_one_id_in_one_write_the_last_stays(database: CatalogDatabase) -> None:
    assert put(database, *(numbered_spec(1, n) for n in (1, 2, 2, 1))) == Counts(added=1, changed=2, unchanged=1)
    assert database.spec("civitai:1@101") == numbered_spec(1, 1)


def test_a_lower_origin_never_replaces_a_higher(database: CatalogDatabase) -> None:
    put(database, numbered_spec(1, 1), origin="rows")
    assert put(database, numbered_spec(1, 2), origin="local") == Counts(unchanged=1)
    assert put(database, numbered_spec(1, 3), origin="rows") == Counts(changed=1)
    assert put(database, numbered_spec(1, 4), origin="dump") == Counts(changed=1)
    version = database.version
    assert put(database, numbered_spec(1, 4), origin="api") == Counts(unchanged=1)
    assert put(database, numbered_spec(1, 5), origin="dump") == Counts(unchanged=1), "the same from a better source"
    assert database.version == version
    assert database.spec("civitai:1@101") == numbered_spec(1, 4)


def test_a_removed_spec_is_gone_told_of_and_may_come_back(database: CatalogDatabase) -> None:
    put(database, numbered_spec(1), numbered_spec(2))
    before = database.version
    with database.transaction() as writing:
        assert writing.remove(["civitai:1@101", "civitai:9@109"]) == 1
    assert changed_ids(database, before) == {"civitai:1@101": False}
    assert database.spec("civitai:1@101") is None
    assert database.ids_of_model(1) == []
    assert [spec.model_id for spec in database.all_specs()] == [2]
    assert [name.model_id for name in database.names()] == [2]
    assert database.count().specs == database.count().models == 1
    assert put(database, numbered_spec(1), origin="local") == Counts(added=1)
    assert database.spec("civitai:1@101") == numbered_spec(1)


def test_a_transaction_that_fails_leaves_nothing(database: CatalogDatabase) -> None:
    put(database, numbered_spec(1))
    version = database.version
    with pytest.raises(KeyboardInterrupt), database.transaction() as writing:  # noqa: PT012
        writing.put_specs([numbered_spec(2)], origin="api")
        writing.put_note("page", 2)
        raise KeyboardInterrupt
    assert (database.version, database.note("page"), database.spec("civitai:2@102")) == (version, None, None)


def test_nobody_sees_an_open_transaction(database: CatalogDatabase) -> None:
    with database.transaction() as writing:
        writing.put_specs([numbered_spec(1)], origin="api")
        assert database.version == 0
        assert database.spec("civitai:1@101") is None
    assert database.version == 1


def test_transactions_do_not_nest(database: CatalogDatabase) -> None:
    with database.transaction() as writing, pytest.raises(CatalogError, match="do not nest"), database.transaction():
        pass
    with pytest.raises(CatalogError, match="this transaction on the catalog is over"):
        writing.put_specs([numbered_spec(1)], origin="api")
    assert put(database, numbered_spec(1)) == Counts(added=1)


def test_a_spec_that_could_not_be_read_back_is_refused(database: CatalogDatabase) -> None:
    spec = numbered_spec(1).model_copy(update={"description": "x" * 3000})
    with pytest.raises(CatalogError, match="civitai:1@101 cannot be stored, its fields are invalid: description"):
        put(database, numbered_spec(2), spec)
    assert database.count().specs == 0


def test_a_closed_catalog_says_so(tmp_path: Path) -> None:
    with CatalogDatabase.open(tmp_path) as database:
        pass
    with pytest.raises(CatalogError, match="was closed; open it again"):
        _ = database.version
    with pytest.raises(CatalogError, match="was closed"), database.transaction():
        pass


def test_a_catalog_is_not_closed_in_the_middle_of_a_transaction(database: CatalogDatabase) -> None:
    with database.transaction() as writing:
        with pytest.raises(CatalogError, match=r"a transaction on .* is open in this thread; end it first"):
            database.close()
        writing.put_note("page", 1)
    assert database.note("page") == 1


def test_changes_that_happen_meanwhile_wait_for_the_next_call(database: CatalogDatabase) -> None:
    put(database, *map(numbered_spec, range(1, 1201)))
    upto = database.version
    changes = database.spec_changes(0, upto)
    first = next(changes)
    put(database, numbered_spec(1, 1), numbered_spec(1200, 1))
    assert first.spec == numbered_spec(1)
    assert [change.spec_id for change in changes][-1] == "civitai:1199@1299"
    assert changed_ids(database, upto) == {"civitai:1@101": True, "civitai:1200@1300": True}


def test_threads_share_one_object(database: CatalogDatabase) -> None:
    faults: list[BaseException] = []

    def work(thread: int) -> None:
        try:
            for n in range(20):
                put(database, *(numbered_spec(1 + thread * 100 + n * 5 + k) for k in range(5)))
                assert database.count().specs % 5 == 0
                assert database.spec(f"civitai:{1 + thread * 100}@{101 + thread * 100}") is not None
        except BaseException as error:
            faults.append(error)
            raise

    threads = [threading.Thread(target=work, args=(n,)) for n in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert faults == []
    assert database.count().specs == 600


def test_versions_of_a_model_come_newest_first(database: CatalogDatabase, make_spec: SpecMaker) -> None:
    versions = [make_spec(7, id=f"civitai:7@{version}", version_id=version) for version in (71, 73, 72)]
    put(database, *versions, make_spec(8, "LORA"))
    assert database.ids_of_model(7) == ["civitai:7@73", "civitai:7@72", "civitai:7@71"]
    totals = database.count()
    assert (totals.specs, totals.models, totals.checkpoints, totals.networks) == (4, 2, 3, 1)
    assert [spec.model_id for spec in database.all_specs(type="LORA", family="pocket")] == [8]
    assert list(database.specs(["civitai:7@72", "civitai:1@1", "civitai:7@71"])) == ["civitai:7@72", "civitai:7@71"]


def test_of_one_place_the_newest_reason_stays(database: CatalogDatabase) -> None:
    with database.transaction() as writing:
        assert writing.set_aside([SetAside("no id", "line 1"), SetAside("no files", "line 2")], source="a") == 2
        assert writing.set_aside([SetAside("no id", "line 1")], source="b") == 1
        assert writing.set_aside([SetAside("no type \udcff", "line 1")], source="a") == 1
    assert database.count().set_aside == 3
    assert database.set_aside(2) == [SetAside("no type \\udcff", "a: line 1"), SetAside("no id", "b: line 1")]


def test_what_is_read_again_is_no_longer_set_aside(database: CatalogDatabase) -> None:
    sources = ("/a", "/a/b", "/a/b/c.jsonl", "/a/bc", "/ab", "/a0", "/a\udcff")
    with database.transaction() as writing:
        for source in sources:
            writing.set_aside([SetAside("no id", "line 1"), SetAside("no id", "line 2")], source=source)
        writing.forget_set_aside("/a/b")
    left = {item.where.split(":")[0] for item in database.set_aside(100)}
    assert left == {"/a", "/a/bc", "/ab", "/a0", "/a\\udcff"}
    with database.transaction() as writing:
        writing.forget_set_aside("/")
    assert database.count().set_aside == 0


def test_notes(tmp_path: Path) -> None:
    value = {"cursor": "75363|932023", "pages": 3, "seen": [1.5, None, "\udcff"]}
    with CatalogDatabase.open(tmp_path) as database, database.transaction() as writing:
        writing.put_note("sync", 1)
        writing.put_note("sync", value)
        writing.put_note("other", [])
        writing.drop_note("other")
        writing.drop_note("none")
    with CatalogDatabase.open(tmp_path, read_only=True) as database:
        assert database.note("sync") == value
        assert database.note("other") is None
        assert database.version == 0


def test_local_files_with_any_name(database: CatalogDatabase) -> None:
    odd = os.fsdecode(b"/models/\xff\xfe caf\xc3\xa9.safetensors")
    files = [LocalFile(odd, 5, 2**62, "AB", "local:1@1"), LocalFile("/models/a.safetensors", 2**40, 1, "CD", "")]
    with database.transaction() as writing:
        writing.put_local_files([LocalFile(odd, 1, 1, "", ""), *files])
    assert database.local_files() == [files[1], files[0]]
    with database.transaction() as writing:
        writing.forget_local_files([odd, "/none"])
    assert database.local_files() == [files[1]]
    assert database.count().local_files == 1


def test_the_catalog_is_under_the_home_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DIFFAGENT_HOME", str(tmp_path / "home"))
    with CatalogDatabase.open() as database:
        assert database.path == tmp_path / "home" / "catalog" / "catalog.sqlite" == catalog_folder() / "catalog.sqlite"
        assert database.path.is_file()
    monkeypatch.delenv("DIFFAGENT_HOME")
    assert home_folder() == Path.home() / ".cache" / "diffagent"
    monkeypatch.setenv("DIFFAGENT_HOME", "~nobody-of-that-name/x")
    with pytest.raises(ConfigError, match="~nobody-of-that-name/x"):
        home_folder()
