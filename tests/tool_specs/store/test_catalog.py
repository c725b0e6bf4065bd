"""The stored catalog answers as the one in memory does."""

from __future__ import annotations

import pytest

from tests.tool_specs.conftest import SpecMaker
from tests.tool_specs.store.processes import numbered_spec
from tool_specs.catalog import AnyCatalog, Catalog
from tool_specs.exceptions import CatalogError
from tool_specs.store.catalog import MAX_RECENT, StoredCatalog
from tool_specs.store.database import CatalogDatabase

NAMES = (
    "civitai:9001@9101",
    "9001",
    " 9001@9101 ",
    "civitai_9001_pocket_animals",
    "https://civitai.com/models/9001/x",
    "civitai:901@1",
    "pocket animls",
    "",
    "☃",
    "9001@1",
    "x" * 5000,
    "civitai_9001_pocket_wolves",
)


@pytest.fixture
def stored(database: CatalogDatabase, pocket_catalog: Catalog) -> StoredCatalog:
    with database.transaction() as writing:
        writing.put_specs(pocket_catalog, origin="dump")
    return StoredCatalog(database)


def answer(catalog: AnyCatalog, name: str) -> str:
    try:
        return catalog.get(name).id
    except CatalogError as error:
        return str(error)


@pytest.mark.parametrize("name", NAMES)
def test_every_name_gives_what_it_gives_in_memory(stored: StoredCatalog, pocket_catalog: Catalog, name: str) -> None:
    assert answer(stored, name) == answer(pocket_catalog, name)
    assert (name in stored) == (name in pocket_catalog)
    assert stored.by_tool_name(name) == pocket_catalog.by_tool_name(name)


def test_the_same_specs_in_the_same_order(stored: StoredCatalog, pocket_catalog: Catalog) -> None:
    assert list(stored) == list(pocket_catalog)
    assert len(stored) == len(pocket_catalog)
    assert stored.specs(type="LORA") == pocket_catalog.specs(type="LORA")
    assert stored.specs(type="LORA", family="sdxl") == ()
    assert stored.specs(family="pocket") == pocket_catalog.specs()
    assert None not in stored


def test_an_empty_catalog_says_so(database: CatalogDatabase) -> None:
    with pytest.raises(CatalogError, match="it is empty"):
        StoredCatalog(database).get("9001")


def test_versions_of_one_model_are_told_apart(database: CatalogDatabase, make_spec: SpecMaker) -> None:
    old, new = (make_spec(7, name="Fox", id=f"civitai:7@{version}", version_id=version) for version in (71, 72))
    with database.transaction() as writing:
        writing.put_specs([old, new], origin="api")
    catalog = StoredCatalog(database)
    assert catalog.get("7") == new, "the newest"
    assert catalog.get("7@71") == old
    assert catalog.by_tool_name("civitai_7_fox") == new
    assert catalog.by_tool_name("civitai_7_fox__71") == old


def test_what_others_commit_is_seen_at_once(stored: StoredCatalog) -> None:
    assert stored.get("9001").model_name == "Pocket Animals"
    changed = stored.get("9001").model_copy(update={"model_name": "Renamed"})
    with CatalogDatabase.open(stored.database.path.parent) as other, other.transaction() as writing:
        writing.put_specs([changed, numbered_spec(5)], origin="api")
        writing.remove(["civitai:9002@9102"])
    assert stored.get("9001").model_name == "Renamed"
    assert "civitai:5@105" in stored
    assert "civitai:9002@9102" not in stored


def test_more_specs_than_memory_holds(database: CatalogDatabase) -> None:
    many = MAX_RECENT + 50
    with database.transaction() as writing:
        writing.put_specs(map(numbered_spec, range(1, many + 1)), origin="api")
    catalog = StoredCatalog(database)
    for _ in range(2):
        assert all(catalog.get(str(n)).model_id == n for n in range(1, many + 1))


def test_the_nearest_among_many(database: CatalogDatabase, make_spec: SpecMaker) -> None:
    with database.transaction() as writing:
        writing.put_specs(map(numbered_spec, range(1, 1001)), origin="api")
        writing.put_specs([make_spec(70001, name="Dream Shaper"), make_spec(70002, name="犬と猫")], origin="api")
    catalog = StoredCatalog(database)
    assert "nearest are civitai:70001@70101 (Dream Shaper)" in answer(catalog, "dreamshaper")
    assert "nearest are civitai:70002@70102 (犬と猫)" in answer(catalog, "犬と猫")
