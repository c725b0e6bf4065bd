from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.civitai_server import CivitaiServer, data
from tests.tool_specs.importing.conftest import model, version
from tool_specs.civitai.client import CivitaiClient
from tool_specs.downloads.named_specs import spec_named
from tool_specs.exceptions import CatalogError, CivitaiError
from tool_specs.store.database import CatalogDatabase


@pytest.fixture
def database(tmp_path: Path) -> Iterator[CatalogDatabase]:
    with CatalogDatabase.open(tmp_path / "catalog") as opened:
        yield opened


@pytest.fixture
def civitai() -> Iterator[CivitaiServer]:
    with CivitaiServer([model(5, version(51), version(50)), model(6, version(60), poi=True)]) as server:
        yield server


def client(server: CivitaiServer) -> CivitaiClient:
    return CivitaiClient(server.url, interval=0, backoff=0.001, attempts=2)


@pytest.mark.parametrize(
    ("name", "spec_id"),
    [("civitai:5@50", "civitai:5@50"), ("civitai:5", "civitai:5@51"),
     ("https://civitai.com/models/5/ink?modelVersionId=50", "civitai:5@50")],
)  # fmt: skip
def test_civitai_is_asked_once_for_what_the_catalog_lacks(
    database: CatalogDatabase, civitai: CivitaiServer, name: str, spec_id: str
) -> None:
    spec = spec_named(name, database, client(civitai))
    assert spec.id == spec_id
    assert spec.license.may_sell_images
    asked = len(civitai.seen)
    assert spec_named(f" {name} ", database, client(civitai)) == spec
    assert len(civitai.seen) == asked == 1


def test_a_bare_number_is_a_version(database: CatalogDatabase, civitai: CivitaiServer) -> None:
    civitai.scripted = [data({"id": 50, "modelId": 5, "name": "v1"})]
    spec = spec_named("50", database, client(civitai))
    assert spec.id == "civitai:5@50"
    assert [path for path, _ in civitai.seen] == ["/api/v1/model-versions/50", "/api/v1/models/5"]
    assert spec_named("50", database, client(civitai)) == spec
    assert len(civitai.seen) == 2


@pytest.mark.parametrize(
    ("name", "words"),
    [("civitai:7", "Civitai does not have it"), ("civitai:5@99", "Civitai does not have it"),
     ("civitai:6", "real person"), ("99", "Civitai does not have it"), ("9" * 40, "Civitai does not have it"),
     ("0", "Civitai does not have it"), ("a fox", "the catalog holds no model"),
     ("local:2147483650@2147483650", "Civitai does not have it")],
)  # fmt: skip
def test_what_cannot_be_had_is_not_stored(
    database: CatalogDatabase, civitai: CivitaiServer, name: str, words: str
) -> None:
    with pytest.raises(CatalogError, match=words):
        spec_named(name, database, client(civitai))
    assert database.count().specs == 0


def test_civitai_does_not_answer(database: CatalogDatabase, civitai: CivitaiServer) -> None:
    civitai.scripted = [data({}, 503)] * 2
    with pytest.raises(CivitaiError):
        spec_named("civitai:5", database, client(civitai))
