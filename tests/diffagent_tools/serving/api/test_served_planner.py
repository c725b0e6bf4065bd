"""Chat completions that are passed on to a planner's own server, over real HTTP on both sides."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import openai
import pytest
from langchain_core.callbacks import AsyncCallbackManagerForLLMRun
from langchain_core.messages import BaseMessage
from langchain_core.outputs import ChatResult

from diffagent_tools.chat_models.diffagent import ChatDiffAgent
from tests.diffagent_tools.chat_models.chat_server import ChatServer, answer, call, serving, streamed
from tests.diffagent_tools.serving.api.running import Running, paper_server
from tests.graphs.paper_world import PaperBackend, ScriptedPlanner

HELLO: list[Any] = [{"role": "user", "content": "hello"}]
TOOL: Any = {"type": "function", "function": {"name": "draw_fox", "parameters": {"type": "object", "properties": {}}}}


@pytest.fixture
def far() -> Iterator[ChatServer]:
    """The planner's server."""
    with serving() as server:
        yield server


@pytest.fixture
def near(tmp_path: Path, backend: PaperBackend, far: ChatServer) -> Iterator[Running]:
    """Ours, in front of it."""
    planner = ChatDiffAgent(base_url=far.url, api_key="the-planners-key", max_retries=0)
    with paper_server(tmp_path, backend, planner=planner) as server:
        yield server


def test_what_the_client_fixes_is_passed_on_and_nothing_else(near: Running, far: ChatServer) -> None:
    far.reply = answer("good day")
    said = near.client().chat.completions.create(
        model="diffagent-planner", messages=HELLO, temperature=0.5, max_completion_tokens=9, stop=["."], seed=3
    )
    assert said.choices[0].message.content == "good day"
    assert said.usage is not None
    assert said.usage.total_tokens == 7
    asked = far.asked_last
    assert {key: asked[key] for key in ("temperature", "max_tokens", "stop", "seed")} == {
        "temperature": 0.5, "max_tokens": 9, "stop": ["."], "seed": 3,
    }  # fmt: skip
    assert not {"top_p", "response_format", "tools"} & set(asked)
    assert far.keys == ["Bearer the-planners-key"]


def test_words_are_streamed_as_they_come(near: Running, far: ChatServer) -> None:
    far.reply = streamed({"role": "assistant", "content": ""}, {"content": "good "}, {"content": "day"})
    chunks = list(near.client().chat.completions.create(model="diffagent-planner", messages=HELLO, stream=True))
    words = [one.delta.content for chunk in chunks for one in chunk.choices if one.delta.content]
    assert words == ["good ", "day"]
    assert [one.finish_reason for chunk in chunks for one in chunk.choices][-1] == "stop"
    assert all(chunk.usage is None for chunk in chunks)


@pytest.mark.parametrize("stream", [False, True])
def test_tool_calls_come_back_to_the_client(near: Running, far: ChatServer, stream: bool) -> None:
    far.reply = answer(calls=[call('{"prompt": "a fox"}')], finish="tool_calls")
    told: Any = near.client().chat.completions.create(
        model="diffagent-planner", messages=HELLO, tools=[TOOL], tool_choice="required", stream=stream
    )
    if stream:
        calls = [piece for chunk in told for one in chunk.choices for piece in one.delta.tool_calls or []]
    else:
        calls = told.choices[0].message.tool_calls
    assert [(one.id, one.function.name, json.loads(one.function.arguments)) for one in calls] == [
        ("call_1", "draw_fox", {"prompt": "a fox"})
    ]
    assert far.asked_last["tool_choice"] == "required"


def test_a_call_that_was_cut_off_is_handed_on_as_it_is(near: Running, far: ChatServer) -> None:
    far.reply = answer(calls=[call('{"prompt": "a f')], finish="length")
    [choice] = near.client().chat.completions.create(
        model="diffagent-planner", messages=HELLO, tools=[TOOL]
    ).choices  # fmt: skip
    [cut] = choice.message.tool_calls or []
    assert choice.finish_reason == "length"
    assert cut.type == "function"
    assert cut.function.arguments == '{"prompt": "a f'


@pytest.mark.parametrize("stream", [False, True])
def test_a_planner_that_cannot_be_reached_is_said(tmp_path: Path, backend: PaperBackend, stream: bool) -> None:
    with serving() as gone:
        planner = ChatDiffAgent(base_url=gone.url, max_retries=0)
    with paper_server(tmp_path, backend, planner=planner) as server:
        chat: Any = server.client().chat.completions
        with pytest.raises(openai.APIError, match="no server answers"):
            list(chat.create(model="diffagent-planner", messages=HELLO, stream=stream))


class SilentPlanner(ScriptedPlanner):
    """Never answers."""

    answers: list[Any] = []  # noqa: RUF012 - a field of Pydantic's

    async def _agenerate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        self.seen.append(messages)
        await asyncio.Event().wait()
        raise AssertionError


def test_a_planner_that_does_not_answer_is_given_up_at_the_deadline(tmp_path: Path, backend: PaperBackend) -> None:
    with paper_server(tmp_path, backend, planner=SilentPlanner(), deadline_seconds=0.5) as server:
        with pytest.raises(openai.InternalServerError) as raised:
            server.client().chat.completions.create(model="diffagent-planner", messages=HELLO)
        assert raised.value.status_code == 504
        assert server.metric("diffagent_planner_calls_running") == 0


def test_who_leaves_frees_the_planner(
    tmp_path: Path, backend: PaperBackend, until: Callable[[Callable[[], bool]], None]
) -> None:
    with paper_server(tmp_path, backend, planner=SilentPlanner(), planner_calls=1) as server:
        for stream in (False, True):
            body = {"model": "diffagent-planner", "messages": HELLO, "stream": stream}
            with pytest.raises(httpx.ReadTimeout):
                httpx.post(f"{server.url}/chat/completions", json=body, timeout=0.4)
            until(lambda: server.metric("diffagent_planner_calls_running") == 0)


@pytest.mark.slow
def test_a_drawing_whose_planner_does_not_answer_blocks_the_others_for_a_moment_only(
    tmp_path: Path, backend: PaperBackend, until: Callable[[Callable[[], bool]], None]
) -> None:
    with paper_server(tmp_path, backend, planner=SilentPlanner()) as server:
        with pytest.raises(httpx.ReadTimeout):
            httpx.post(f"{server.url}/images/generations", json={"prompt": "a fox"}, timeout=0.5)
        until(lambda: server.metric("diffagent_drawings_running") == 0)
        assert server.metric('diffagent_drawings_total{outcome="stopped"}') == 1


@pytest.mark.parametrize(
    ("calls", "finish"),
    [
        ([call('{"prompt": "a fox"}'), {**call('{"prompt": "a cat"}'), "id": "call_2"}], "tool_calls"),
        ([call('{"prompt": "a f')], "length"),
    ],
)
def test_a_stream_holds_the_calls_of_the_whole_answer(
    near: Running, far: ChatServer, calls: list[Any], finish: str
) -> None:
    asked: dict[str, Any] = {"model": "diffagent-planner", "messages": HELLO, "tools": [TOOL]}
    far.reply = answer(calls=calls, finish=finish)
    whole = near.client().chat.completions.create(**asked).choices[0].message.tool_calls or []
    far.reply = answer(calls=calls, finish=finish)
    pieces = [
        piece
        for chunk in near.client().chat.completions.create(**asked, stream=True)
        for choice in chunk.choices
        for piece in choice.delta.tool_calls or []
    ]
    assert [piece.index for piece in pieces] == list(range(len(calls)))
    streamed_calls = [(piece.function.name, piece.function.arguments) for piece in pieces]
    assert streamed_calls == [(one.function.name, one.function.arguments) for one in whole]
