from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from graphs.cli.main import main
from tests.graphs.cli.paper_command import furnish
from tests.graphs.paper_world import PaperBackend


@dataclass(frozen=True)
class Result:
    """What one command did."""

    code: int
    stdout: str
    stderr: str

    @property
    def document(self) -> Any:
        """The JSON document, which must be all of stdout."""
        return json.loads(self.stdout)


@pytest.fixture
def backend(tmp_path: Path) -> PaperBackend:
    return PaperBackend(tmp_path / "drawn.log")


@pytest.fixture
def run(
    tmp_path: Path, backend: PaperBackend, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> Callable[..., Result]:
    """Runs the command over the paper world, with its home in a temporary folder."""
    monkeypatch.setenv("DIFFAGENT_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("COLUMNS", "160")
    furnish(monkeypatch.setattr, backend)

    def command(*arguments: str) -> Result:
        code = main(arguments)
        captured = capfd.readouterr()
        return Result(code, captured.out, captured.err)

    return command
