"""LangGraph's own development server opens the graphs, offline, and its client runs them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from langgraph_sdk import get_client
from langgraph_sdk.client import LangGraphClient
from langgraph_sdk.schema import StreamMode

from tests.graphs.langgraph_server import ROOT, LangGraphServer, langgraph_server
from tests.snippets import executed, snippets

pytest.importorskip("langgraph_api", reason="needs langgraph-cli[inmem]")
pytestmark = pytest.mark.slow

NAMED = list(json.loads((ROOT / "langgraph.json").read_text())["graphs"])
SETTINGS = {"cancel", "threshold", "max_attempts", "max_seconds", "approve"}
FOX = {"request": "a fox on a blue background"}
MODES: list[StreamMode] = ["custom", "updates", "values", "messages-tuple"]


def is_picture(path: str) -> bool:
    return Path(path).read_bytes().startswith(b"\x89PNG")


@pytest.fixture(scope="module")
def dev(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LangGraphServer]:
    with langgraph_server(tmp_path_factory.mktemp("langgraph")) as server:
        yield server


@pytest.fixture
def server(dev: LangGraphServer) -> Iterator[LangGraphServer]:
    """The server, which has met no blocking call and asked for nothing outside when the test is over."""
    yield dev
    assert "BlockingError" not in dev.log
    assert dev.outside == []


@pytest.fixture
def client(server: LangGraphServer) -> LangGraphClient:
    return get_client(url=server.url, api_key=None)


async def test_every_graph_is_opened_with_its_schemas(client: LangGraphClient) -> None:
    opened = {assistant["graph_id"]: assistant["assistant_id"] for assistant in await client.assistants.search()}
    assert set(opened) == set(NAMED)
    for name, assistant in opened.items():
        schemas = await client.assistants.get_schemas(assistant)
        for kind in ("input_schema", "output_schema", "state_schema"):
            assert "request" in schemas[kind]["properties"], (name, kind)  # type: ignore[literal-required]
        assert set(schemas["context_schema"]["properties"]) == SETTINGS, name
        assert len((await client.assistants.get_graph(assistant))["nodes"]) > 2


async def test_the_agent_runs_streams_and_leaves_its_state(client: LangGraphClient) -> None:
    thread = (await client.threads.create())["thread_id"]
    parts = [part async for part in client.runs.stream(thread, "diffagent", input=FOX, stream_mode=MODES)]
    assert {part.event for part in parts} == {"metadata", "custom", "updates", "values", "messages"}
    events = [part.data["event"] for part in parts if part.event == "custom"]
    assert [events[0], events[1], events[-2], events[-1]] == ["shortlist", "call", "attempt", "outcome"]
    assert events.count("step") >= 10
    state: dict[str, Any] = dict(await client.threads.get_state(thread))
    assert state["next"] == []
    assert state["values"]["best"]["model"] == "civitai:9001@9101"
    assert is_picture(state["values"]["best"]["reference"]["path"])


async def test_a_question_is_answered_with_an_edit(client: LangGraphClient) -> None:
    thread = (await client.threads.create())["thread_id"]
    await client.runs.wait(thread, "diffagent", input=FOX, context={"approve": True})
    state: dict[str, Any] = dict(await client.threads.get_state(thread))
    assert state["next"] == ["approve"]
    assert state["interrupts"][0]["value"]["model"] == "civitai:9001@9101"
    decision = {"type": "edit", "arguments": {"steps": 5, "seed": 7}}
    settings = {"approve": True, "threshold": 0.0}
    ended: Any = await client.runs.wait(thread, "diffagent", command={"resume": decision}, context=settings)
    assert ended["outcome"]["status"] == "accepted"
    assert (ended["best"]["call"]["steps"], ended["best"]["call"]["seed"]) == (5, 7)


async def test_settings_make_an_assistant(client: LangGraphClient) -> None:
    strict = await client.assistants.create("diffagent", context={"threshold": 2.0, "max_attempts": 1}, name="strict")
    said = {"messages": [{"role": "user", "content": "a cat"}]}
    ended: Any = await client.runs.wait(None, strict["assistant_id"], input=said)
    assert ended["outcome"] == {
        "status": "best_effort", "reason": "no attempts left; this is the best of 1", "nearest": [],
    }  # fmt: skip
    await client.assistants.delete(strict["assistant_id"])


@pytest.mark.parametrize(
    ("given", "context", "told"),
    [
        ({"request": ""}, {}, "say what to draw"),
        (FOX, {"threshold": "high"}, "threshold='high' is not a number"),
    ],
)
async def test_what_is_wrong_reaches_the_client(
    client: LangGraphClient, given: dict[str, str], context: dict[str, str], told: str
) -> None:
    with pytest.raises(Exception, match=told):
        await client.runs.wait(None, "diffagent", input=given, context=context)


@pytest.mark.parametrize("name", [name for name in NAMED if name != "diffagent"])
async def test_the_bigger_graphs_run(client: LangGraphClient, name: str) -> None:
    given = {**FOX, "options": {"steps": 4, "max_attempts": 1}}
    ended: Any = await client.runs.wait(None, name, input=given)
    assert ended["outcome"]["status"] in ("accepted", "best_effort")


def test_the_client_in_the_docs_runs(server: LangGraphServer, capsys: pytest.CaptureFixture[str]) -> None:
    [code] = [code for code in snippets(ROOT / "docs" / "graphs.md") if "langgraph_sdk" in code]
    assert "http://127.0.0.1:2024" in code
    executed(code.replace("http://127.0.0.1:2024", server.url), {})
    assert '"event": "outcome"' in capsys.readouterr().out.replace("'", '"')
