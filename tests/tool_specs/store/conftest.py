from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tool_specs.store.database import CatalogDatabase


@pytest.fixture
def database(tmp_path: Path) -> Iterator[CatalogDatabase]:
    with CatalogDatabase.open(tmp_path / "catalog") as opened:
        yield opened
