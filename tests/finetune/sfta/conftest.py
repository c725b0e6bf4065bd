from __future__ import annotations

from pathlib import Path

import pytest

from tests.finetune.sfta.tiny_planner import qwen3_template, save_planner


@pytest.fixture(scope="session")
def planner(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a tiny planner of random weights."""
    return save_planner(tmp_path_factory.mktemp("planner"))


@pytest.fixture(scope="session")
def qwen3(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with such a planner behind the chat template that Qwen3 is published with."""
    return save_planner(tmp_path_factory.mktemp("qwen3"), template=qwen3_template(), context=32768)
