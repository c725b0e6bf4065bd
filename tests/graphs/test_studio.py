from __future__ import annotations

import asyncio
import json
from importlib import import_module
from pathlib import Path

import pytest
from langgraph.graph.state import CompiledStateGraph

from graphs import studio
from graphs.workshop import Workshop
from tests.graphs.cli.paper_command import furnish
from tests.graphs.paper_world import PaperBackend

ROOT = Path(__file__).parents[2]
FACTORIES = {name: graph["path"] for name, graph in json.loads((ROOT / "langgraph.json").read_text())["graphs"].items()}


@pytest.fixture
def paper_workshop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    furnish(monkeypatch.setattr, PaperBackend(tmp_path / "drawn.log"))
    monkeypatch.setattr(studio, "_workshop", Workshop())
    monkeypatch.setattr(studio, "_made", {})


@pytest.mark.parametrize("name", FACTORIES)
async def test_a_factory_that_langgraph_json_names_makes_one_graph_without_a_checkpointer(
    paper_workshop: None, name: str
) -> None:
    module, _, factory = FACTORIES[name].partition(":")
    make = getattr(import_module(module), factory)
    graph, again = await asyncio.gather(make(), make())
    assert isinstance(graph, CompiledStateGraph)
    assert graph is again
    assert graph.checkpointer is None


def test_the_packages_names_are_there_without_loading_langgraph_first() -> None:
    import graphs

    assert graphs.create_diffagent.__module__ == "graphs.agent"
    assert all(hasattr(graphs, name) for name in graphs.__all__)
    with pytest.raises(AttributeError, match="no attribute"):
        _ = graphs.nothing_of_the_kind
