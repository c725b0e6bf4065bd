from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from diffagent_tools import ray_indexing
from diffagent_tools.ray_indexing import indexed_on_ray
from tests.stored_models import furnish
from tool_specs.ranking.index import CatalogIndex
from tool_specs.ranking.segments import Segment
from tool_specs.store.database import CatalogDatabase


def arrays(segment: Segment) -> dict[str, list[object]]:
    return {name: np.asarray(array).tolist() for name, array in segment._arrays().items()}


@pytest.mark.ray
@pytest.mark.slow
def test_the_index_is_the_one_that_is_made_here(cluster: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ray_indexing, "BLOCK", 5)
    for name in ("here", "ray"):
        furnish(tmp_path / name)
    with CatalogDatabase.open(tmp_path / "here") as here, CatalogDatabase.open(tmp_path / "ray") as there:
        one, other = CatalogIndex(here).view(), CatalogIndex(there, indexed=indexed_on_ray).view()

    assert len(other.prompts) > 5
    assert arrays(other.prompts.base) == arrays(one.prompts.base)
    assert arrays(other.models.base) == arrays(one.models.base)


def test_small_changes_are_indexed_here(tmp_path: Path) -> None:
    furnish(tmp_path)
    with CatalogDatabase.open(tmp_path) as database:
        assert len(CatalogIndex(database, indexed=indexed_on_ray).view().prompts)
