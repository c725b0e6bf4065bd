"""`diffagent draw` with a planner behind HTTP, named by one variable."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from tests.diffagent_tools.chat_models.chat_server import ChatServer, Json, answer, call, serving
from tests.graphs.cli.conftest import Result
from tests.graphs.paper_world import ANIMALS, CATALOG
from tool_specs.calls import to_call

Run = Callable[..., Result]
TOOL = CATALOG.get(ANIMALS).tool_name
PROMPT = "a fox on the server's mind"
ARGUMENTS = to_call(CATALOG.get(ANIMALS), {"prompt": PROMPT}).model_dump_json(exclude={"family", "checkpoint"})


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[ChatServer]:
    with serving() as state:
        monkeypatch.setenv("DIFFAGENT_BASE_URL", state.url)
        yield state


def test_the_server_plans(run: Run, server: ChatServer) -> None:
    server.reply = answer(calls=[call(ARGUMENTS, TOOL)], finish="tool_calls")
    document = run("draw", "a fox", "--json").document

    assert document["best"]["model"] == ANIMALS
    assert document["best"]["call"]["prompt"] == PROMPT
    assert server.asked_last["messages"][-1]["content"] == "a fox"
    assert TOOL in [tool["function"]["name"] for tool in server.asked_last["tools"]]


@pytest.mark.parametrize(
    "cut",
    [
        pytest.param(
            answer(f'<tool_call>{{"name": "{TOOL}", "arguments": {ARGUMENTS[:20]}', finish="length"), id="hermes"
        ),
        pytest.param(answer(f'{{"name": "{TOOL}", "parameters": {ARGUMENTS[:20]}', finish="length"), id="plain JSON"),
        pytest.param(answer(finish="length", reasoning="a fox, so"), id="while it thought"),
    ],
)
def test_a_call_that_was_cut_off_is_asked_for_again(run: Run, server: ChatServer, cut: Json) -> None:
    server.reply = cut
    result = run("draw", "a fox", "--attempts", "2", "--json")

    assert result.document["best"] is None
    assert ["length limit" in attempt["reason"] for attempt in result.document["attempts"]] == [True, True]
    said, told = server.asked_last["messages"][-2:]
    assert all(called["function"]["name"] for called in said["tool_calls"])
    assert "length limit" in told["content"]


def test_a_server_that_is_not_there_is_named(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    with serving() as gone:
        url = gone.url
    monkeypatch.setenv("DIFFAGENT_BASE_URL", url)
    result = run("draw", "a fox")

    assert result.code == 2
    assert url in result.stderr
    assert "make vllm" in result.stderr
