from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from tests.stored_models import furnish
from tool_specs.ranking.encoder import Encoder
from tool_specs.ranking.texts import distinct, numbered
from tool_specs.store.database import CatalogDatabase

KNOWN = ("castle", "dragon", "ship", "fruit", "neon", "a_castle")


@pytest.fixture
def encoder() -> Encoder:
    """Random vectors for a few terms."""
    generator = np.random.default_rng(0)
    table = generator.integers(-127, 128, (len(KNOWN), 8)).astype(np.int8)
    return Encoder(distinct(numbered(KNOWN)), table, np.full(len(KNOWN), 0.01, dtype=np.float32))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A catalog of a few themes and styles."""
    furnish(tmp_path / "catalog")
    return tmp_path / "catalog"


@pytest.fixture
def database(folder: Path) -> Iterator[CatalogDatabase]:
    with CatalogDatabase.open(folder) as opened:
        yield opened
