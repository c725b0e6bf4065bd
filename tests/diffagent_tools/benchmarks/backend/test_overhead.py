from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from diffagent_tools.benchmarks.backend.overhead import main, seconds_in_turn
from diffagent_tools.benchmarks.backend.worlds import WORLDS


def test_both_are_drawn_as_often() -> None:
    ours, plain = seconds_in_turn(replace(WORLDS["pocket"](Path()), size=32, steps=1), 3)
    assert len(ours) == len(plain) == 3
    assert min(*ours, *plain) > 0


def test_one_line_is_printed(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr("sys.argv", ["overhead", "--rounds", "1"])
    main()
    told = capsys.readouterr().out
    assert told.startswith("Over the bare pipeline: ")
    assert told.count("\n") == 1
