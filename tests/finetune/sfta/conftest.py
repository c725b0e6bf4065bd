from __future__ import annotations

from pathlib import Path

import pytest

from tests.finetune.sfta.tiny_planner import save_planner


@pytest.fixture(scope="session")
def planner(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a tiny planner of random weights."""
    return save_planner(tmp_path_factory.mktemp("planner"))
