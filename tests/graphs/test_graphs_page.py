"""What docs/graphs.md shows works as shown, with the pocket world."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.snippets import executed, snippets

PAGE = Path(__file__).parents[2] / "docs" / "graphs.md"


def is_picture(path: str) -> bool:
    return Path(path).read_bytes().startswith(b"\x89PNG")


@pytest.mark.slow
async def test_the_page_runs_from_top_to_bottom(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DIFFAGENT_HOME", str(tmp_path / "home"))
    names: dict[str, Any] = {"__name__": "graphs_page"}
    printed = []
    for code in snippets(PAGE):
        if "langgraph_sdk" in code:  # tests/graphs/test_langgraph_dev.py has the server for it
            continue
        executed(code, names)
        printed.append(capsys.readouterr().out)
        if "illustrate" in code:
            post = await names["blog"].ainvoke({"title": "a cat"})
            assert is_picture(post["picture"])
    assert names["state"]["best"]["call"]["seed"] == 7
    assert any(text.startswith("Drawn with") for text in printed)
    assert any("20 of 20" in text for text in printed)
    assert any("'prompt'" in text for text in printed)
    assert len(names["story"]["panels"]) == 2
    assert is_picture(names["story"]["sheet"]["path"])
    assert (tmp_path / "threads.sqlite").is_file()
