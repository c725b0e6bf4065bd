from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from diffagent_tools.embeddings import MiniLMEmbedder
from finetune.pocket.records import checkpoint_file, style_file, write_records
from finetune.pocket.world import EMBEDDING_TOKEN, STYLES, SUBJECTS
from tests.planner_models import save_tiny_planner
from tool_specs.catalog import Catalog
from tool_specs.search.shortlist import Shortlister


@pytest.fixture(scope="session")
def written_records(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, object]]:
    """The pocket records as the recipe writes them now, about weights files that hold only their own names."""
    folder = tmp_path_factory.mktemp("pocket")
    names = [*map(checkpoint_file, SUBJECTS), *map(style_file, STYLES), f"{EMBEDDING_TOKEN}.safetensors"]
    for name in names:
        (folder / name).write_text(name)
    paths = write_records(SUBJECTS, STYLES, folder, folder / "records")
    return [json.loads(path.read_text(encoding="utf-8")) for path in paths]


@pytest.fixture(scope="session")
def pocket_catalog(written_records: list[dict[str, object]]) -> Catalog:
    return Catalog.from_records(written_records)


@pytest.fixture(scope="session")
def embedder(tmp_path_factory: pytest.TempPathFactory) -> MiniLMEmbedder:
    """The real embedder with a cache of its own."""
    return MiniLMEmbedder(cache=tmp_path_factory.mktemp("cache") / "embeddings.sqlite")


@pytest.fixture(scope="session")
def shortlister(pocket_catalog: Catalog, embedder: MiniLMEmbedder) -> Shortlister:
    return Shortlister(pocket_catalog, embedder)


@pytest.fixture(scope="session")
def tiny_planner(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a planner of the shipped architecture with random weights."""
    return save_tiny_planner(tmp_path_factory.mktemp("tiny_planner"))


@pytest.fixture(scope="session")
def cluster() -> Iterator[None]:
    """A Ray cluster on this machine."""
    pytest.importorskip("ray", reason="needs Ray: pip install 'diffagent-tools[ray]'")
    from tests.ray_cluster import local_ray

    with local_ray():
        yield
