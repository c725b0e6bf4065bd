from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

import pytest

from diffagent_tools.serving.vllm import PYTHON, running
from tests.diffagent_tools.serving.processes import processes_with
from tool_specs.pocket import pocket_planner

ROOT = Path(__file__).parents[3]


@dataclass(frozen=True)
class Served:
    """A planner on a running server."""

    url: str
    key: str


@pytest.fixture(scope="package")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """The pocket planner on a real vLLM; afterwards none of its processes may be left."""
    python = ROOT / PYTHON
    if not python.exists():
        pytest.skip(f"there is no vLLM in {PYTHON}: `make vllm-install` puts it there")
    key = uuid4().hex
    log = tmp_path_factory.mktemp("vllm") / "server.log"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DIFFAGENT_API_KEY", key)
        server = running(pocket_planner(), python=python, log=log)
        url = server.__enter__()
    try:
        yield Served(url, key)
    finally:
        server.__exit__(None, None, None)
    assert processes_with(key) == []


@pytest.fixture
def served_here(served: Served, monkeypatch: pytest.MonkeyPatch) -> Served:
    """The same, named by the environment."""
    monkeypatch.setenv("DIFFAGENT_BASE_URL", served.url)
    monkeypatch.setenv("DIFFAGENT_API_KEY", served.key)
    return served
