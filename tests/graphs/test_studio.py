from __future__ import annotations

import json
from importlib import import_module
from pathlib import Path

import pytest

from tests.graphs.cli.paper_command import furnish
from tests.graphs.paper_world import PaperBackend

ROOT = Path(__file__).parents[2]


def test_the_factory_that_langgraph_json_names_makes_a_graph_without_a_checkpointer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    furnish(monkeypatch.setattr, PaperBackend(tmp_path / "drawn.log"))
    named = json.loads((ROOT / "langgraph.json").read_text())["graphs"]["diffagent"]["path"]
    path, _, factory = named.partition(":")
    assert (ROOT / path).is_file()
    module = import_module(path.removeprefix("./").removesuffix(".py").replace("/", "."))
    graph = getattr(module, factory)()
    assert graph.name == "diffagent"
    assert graph.checkpointer is None


def test_the_packages_names_are_there_without_loading_langgraph_first() -> None:
    import graphs

    assert graphs.create_diffagent.__module__ == "graphs.agent"
    assert all(hasattr(graphs, name) for name in graphs.__all__)
    with pytest.raises(AttributeError, match="no attribute"):
        _ = graphs.nothing_of_the_kind
