from __future__ import annotations

import sys
from pathlib import Path

import pytest

from diffagent_tools.artifacts import read_call
from examples import demo
from tool_specs.pocket import POCKET_DIR

pytestmark = pytest.mark.skipif(
    not (POCKET_DIR / "records").is_dir(), reason="the pocket world is not in the package: make pocket-train"
)


@pytest.mark.slow
def test_the_demo_needs_three_checkpoints_and_two_loras(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["demo", "--out", str(tmp_path)])
    demo.main()
    calls = [read_call(path) for path in tmp_path.glob("*/*.png")]
    assert len({call.checkpoint for call in calls}) >= 3
    assert len({use.id for call in calls for use in call.loras}) >= 2
    printed = capsys.readouterr().out
    assert all(request.split()[1] in printed for request in demo.REQUESTS)
    assert str(tmp_path) in printed.replace("\n", "")
