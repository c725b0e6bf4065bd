from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.stored_models import furnish
from tool_specs.store.database import CatalogDatabase


@pytest.fixture
def database(tmp_path: Path) -> Iterator[CatalogDatabase]:
    """A catalog of a few themes and styles."""
    furnish(tmp_path / "catalog")
    with CatalogDatabase.open(tmp_path / "catalog") as opened:
        yield opened
