"""`ChatDiffAgent` against a chat server on this machine; `tests/diffagent_tools/serving` has it against vLLM."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from langchain_core.load import dumps
from langchain_core.messages import AIMessageChunk, BaseMessageChunk
from langchain_core.tools import tool
from pydantic import BaseModel

from diffagent_tools.chat_models.diffagent import ChatDiffAgent
from diffagent_tools.chat_models.local import LocalChatDiffAgent
from tests.diffagent_tools.chat_models.chat_server import ChatServer, answer, call, call_pieces, serving, streamed
from tool_specs.exceptions import CallError, ConfigError

HALF = '{"prompt": "a f'
FREE: dict[str, Any] = {"disable_streaming": False}
"""Settings of a model that streams its calls all the same."""


@tool
def draw_fox(prompt: str, steps: int = 20) -> str:
    """Draw a fox."""
    return f"{prompt} in {steps} steps"


@pytest.fixture
def server() -> Iterator[ChatServer]:
    with serving() as state:
        yield state


@pytest.fixture
def planner(server: ChatServer) -> ChatDiffAgent:
    return ChatDiffAgent(base_url=server.url)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def joined(chunks: Iterator[AIMessageChunk]) -> AIMessageChunk:
    whole: BaseMessageChunk | None = None
    for chunk in chunks:
        whole = chunk if whole is None else whole + chunk
    assert isinstance(whole, AIMessageChunk)
    return whole


async def streamed_async(model: ChatDiffAgent) -> list[Any]:
    return [chunk async for chunk in model.bind_tools([draw_fox]).astream("a fox")]


def test_a_call_comes_back_with_its_metadata(planner: ChatDiffAgent, server: ChatServer) -> None:
    server.reply = answer(calls=[call('{"prompt": "a fox"}')], finish="tool_calls")
    said = planner.bind_tools([draw_fox]).invoke("a fox")

    assert said.tool_calls == [{"name": "draw_fox", "args": {"prompt": "a fox"}, "id": "call_1", "type": "tool_call"}]
    assert said.usage_metadata is not None
    assert said.usage_metadata["total_tokens"] == 7
    assert said.response_metadata["finish_reason"] == "tool_calls"
    assert said.response_metadata["model_provider"] == "diffagent"
    assert [block["type"] for block in said.content_blocks] == ["tool_call"]


def test_tools_are_pinned_to_their_schemas_as_they_are(planner: ChatDiffAgent, server: ChatServer) -> None:
    described = {"type": "function", "function": {"name": "stop", "description": "Stop.", "parameters": {}}}
    planner.bind_tools([draw_fox, described], tool_choice="any").invoke("a fox")
    drawn, stopped = (one["function"] for one in server.asked_last["tools"])

    assert drawn["strict"] is stopped["strict"] is True
    assert drawn["parameters"]["required"] == ["prompt"]
    assert server.asked_last["tool_choice"] == "required"
    assert "strict" not in described["function"]


@pytest.mark.parametrize(("strict", "required"), [(True, ["prompt", "steps"]), (False, ["prompt"])])
def test_strict_can_be_said(planner: ChatDiffAgent, server: ChatServer, strict: bool, required: list[str]) -> None:
    planner.bind_tools([draw_fox], strict=strict).invoke("a fox")
    function = server.asked_last["tools"][0]["function"]

    assert function["strict"] is strict
    assert function["parameters"]["required"] == required


def test_what_a_tool_says_of_itself_is_kept(planner: ChatDiffAgent, server: ChatServer) -> None:
    planner.bind_tools([{"type": "function", "function": {"name": "stop", "strict": False}}]).invoke("stop")

    assert server.asked_last["tools"][0]["function"]["strict"] is False


@pytest.mark.parametrize(
    "reply",
    [
        pytest.param(answer(calls=[call(HALF)], finish="length"), id="half a call"),
        pytest.param(answer(calls=[call('{"prompt": "a f"}')], finish="length"), id="half a call, closed"),
        pytest.param(answer(f'<tool_call>{{"name": "draw_fox", "arguments": {HALF}', finish="length"), id="as text"),
        pytest.param(answer(calls=[call("true")], finish="tool_calls"), id="no object"),
    ],
)
async def test_a_call_that_is_not_whole_is_no_call(planner: ChatDiffAgent, server: ChatServer, reply: Any) -> None:
    server.reply = reply
    bound = planner.bind_tools([draw_fox])
    for said in (bound.invoke("a fox"), await bound.ainvoke("a fox")):
        assert said.tool_calls == []
        assert [broken["name"] for broken in said.invalid_tool_calls] == ["draw_fox"]
        assert said.content == ""


def test_without_tools_a_tag_is_a_word_like_any_other(planner: ChatDiffAgent, server: ChatServer) -> None:
    server.reply = answer("Qwen3 writes <tool_call> before a call.")
    said = planner.invoke("how does Qwen3 call tools?")

    assert said.text == "Qwen3 writes <tool_call> before a call."
    assert said.invalid_tool_calls == []


async def test_answers_with_tools_are_not_streamed(planner: ChatDiffAgent, server: ChatServer) -> None:
    server.reply = answer(calls=[call('{"prompt": "a fox"}')], finish="tool_calls")
    pieces: list[Any] = list(planner.bind_tools([draw_fox]).stream("a fox"))

    for said in (pieces, await streamed_async(planner)):
        assert [one.tool_calls[0]["args"] for one in said] == [{"prompt": "a fox"}]
    assert not any(asked.get("stream") for asked in server.asked)


async def test_half_a_call_in_one_piece_stays_broken_when_pieces_are_added(
    planner: ChatDiffAgent, server: ChatServer
) -> None:
    server.reply = answer(calls=[call(HALF)], finish="length")
    for (piece,) in (list(planner.bind_tools([draw_fox]).stream("a fox")), await streamed_async(planner)):
        added = AIMessageChunk("") + piece
        assert isinstance(added, AIMessageChunk)
        assert piece.tool_calls == added.tool_calls == []
        assert "length limit" in piece.invalid_tool_calls[0]["error"]
        assert [broken["name"] for broken in added.invalid_tool_calls] == ["draw_fox"]


@pytest.mark.parametrize("method", ["json_schema", "function_calling"])
async def test_a_form_can_be_streamed(server: ChatServer, planner: ChatDiffAgent, method: Any) -> None:
    class Choice(BaseModel):
        checkpoint: str

    text = '{"checkpoint": "civitai:1@2"}'
    whole = answer(calls=[call(text, "Choice")], finish="tool_calls")
    server.reply = whole if method == "function_calling" else streamed({"role": "assistant", "content": text})
    form = planner.with_structured_output(Choice, method=method)

    for pieces in (list(form.stream("a fox")), [piece async for piece in form.astream("a fox")]):
        assert pieces[-1] == Choice(checkpoint="civitai:1@2")


async def test_a_stream_of_a_whole_call_passes(server: ChatServer) -> None:
    planner = ChatDiffAgent(base_url=server.url, **FREE)
    server.reply = streamed(*call_pieces('{"prompt": ', '"a fox"}'), finish="tool_calls")

    for said in (joined(planner.bind_tools([draw_fox]).stream("a fox")), joined(iter(await streamed_async(planner)))):  # type: ignore[arg-type]
        assert said.tool_calls[0]["args"] == {"prompt": "a fox"}
        assert said.response_metadata["model_provider"] == "diffagent"
    assert server.asked_last["stream"] is True


@pytest.mark.parametrize(
    ("pieces", "finish"),
    [
        pytest.param([HALF], "length", id="cut off"),
        pytest.param([HALF], "tool_calls", id="cut off, and the server does not say so"),
        pytest.param(['{"prompt": "a f"}'], "length", id="cut off and closed"),
        pytest.param(['{"prompt": "a fox"}', "}"], "stop", id="closed twice"),
        pytest.param([], "length", id="cut off before the arguments"),
        pytest.param([], None, id="broken off before the arguments"),
        pytest.param(['{"prompt": "a fox"}'], None, id="broken off behind the call"),
    ],
)
async def test_a_stream_of_half_a_call_ends_in_an_error(
    server: ChatServer, pieces: list[str], finish: str | None
) -> None:
    planner = ChatDiffAgent(base_url=server.url, **FREE)
    server.reply = streamed(*call_pieces(*pieces), finish=finish)

    with pytest.raises(CallError, match="draw_fox"):
        joined(planner.bind_tools([draw_fox]).stream("a fox"))  # type: ignore[arg-type]
    with pytest.raises(CallError, match="draw_fox"):
        await streamed_async(planner)


@pytest.mark.parametrize("words", [[], [{"content": "A f"}]], ids=["in silence", "in words"])
@pytest.mark.parametrize(("finish", "reason"), [("length", "length limit"), (None, "stream ended")])
async def test_a_stream_with_tools_that_was_cut_before_its_call_ends_in_an_error(
    server: ChatServer, words: list[dict[str, Any]], finish: str | None, reason: str
) -> None:
    planner = ChatDiffAgent(base_url=server.url, **FREE)
    server.reply = streamed({"role": "assistant", "reasoning": "a fox, so"}, *words, finish=finish)

    with pytest.raises(CallError, match=reason):
        list(planner.bind_tools([draw_fox]).stream("a fox"))
    with pytest.raises(CallError, match=reason):
        await streamed_async(planner)
    for free in (planner, planner.bind_tools([draw_fox], tool_choice="none")):
        assert joined(free.stream("a fox")).text == "".join(word["content"] for word in words)  # type: ignore[arg-type]


async def test_arguments_may_come_as_an_object(planner: ChatDiffAgent, server: ChatServer) -> None:
    bound = planner.bind_tools([draw_fox])
    server.reply = answer(calls=[{**call(""), "function": {"name": "draw_fox", "arguments": {"prompt": "a fox"}}}])
    for said in (bound.invoke("a fox"), await bound.ainvoke("a fox")):
        assert said.tool_calls[0]["args"] == {"prompt": "a fox"}
    server.reply = answer(calls=[{**call(""), "function": {"name": "draw_fox", "arguments": ["a fox"]}}])
    assert bound.invoke("a fox").invalid_tool_calls[0]["args"] == '["a fox"]'


@pytest.mark.parametrize("field", ["reasoning", "reasoning_content"])
async def test_what_the_model_thought_is_kept(planner: ChatDiffAgent, server: ChatServer, field: str) -> None:
    server.reply = answer("A fox.", **{field: "an animal"})
    whole = planner.invoke("a fox")
    server.reply = streamed({"role": "assistant", field: "an "}, {field: "animal"}, {"content": "A fox."})
    pieces = joined(planner.stream("a fox"))  # type: ignore[arg-type]
    later = joined(iter([chunk async for chunk in planner.astream("a fox")]))

    for said in (whole, pieces, later):
        assert said.text == "A fox."
        assert said.content_blocks[0] == {"type": "reasoning", "reasoning": "an animal"}
        assert said.additional_kwargs["reasoning_content"] == "an animal"
        assert said.usage_metadata is not None


async def test_what_the_model_thought_is_streamed_once_before_a_form(
    planner: ChatDiffAgent, server: ChatServer
) -> None:
    class Choice(BaseModel):
        checkpoint: str

    text = '{"checkpoint": "civitai:1@2"}'
    server.reply = streamed({"role": "assistant", "reasoning": "an "}, {"reasoning": "animal"}, {"content": text})
    form = planner.bind(response_format=Choice)
    pieces = joined(form.stream("a fox"))  # type: ignore[arg-type]
    later = joined(iter([chunk async for chunk in form.astream("a fox")]))  # type: ignore[misc]

    for said in (pieces, later):
        assert said.additional_kwargs["reasoning_content"] == "an animal"
        assert said.additional_kwargs["parsed"] == Choice(checkpoint="civitai:1@2")
        assert said.text == text


def test_a_form_is_asked_of_the_server(planner: ChatDiffAgent, server: ChatServer) -> None:
    class Choice(BaseModel):
        checkpoint: str

    server.reply = answer('{"checkpoint": "civitai:1@2"}')

    assert planner.with_structured_output(Choice).invoke("a fox") == Choice(checkpoint="civitai:1@2")
    assert server.asked_last["response_format"]["type"] == "json_schema"


def test_profile_says_what_it_can_do(planner: ChatDiffAgent) -> None:
    assert planner.profile is not None
    assert planner.profile["tool_calling"]
    assert planner.profile["structured_output"]
    assert not planner.profile["image_inputs"]


class TestSettings:
    def test_defaults_are_a_server_on_this_machine(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.delenv("DIFFAGENT_BASE_URL", raising=False)

        assert ChatDiffAgent().openai_api_base == "http://127.0.0.1:8000/v1"
        assert ChatDiffAgent().model_name == "diffagent"

    def test_one_variable_names_the_server(self, server: ChatServer, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("DIFFAGENT_BASE_URL", server.url)

        assert ChatDiffAgent().invoke("a fox").text == ""
        assert server.asked_last["model"] == "diffagent"
        assert server.asked_last["temperature"] == 0.0

    @pytest.mark.parametrize("settings", [{}, {"api_key": None}])
    def test_a_key_of_openai_is_never_sent(
        self, server: ChatServer, monkeypatch: pytest.MonkeyPatch, settings: dict[str, Any]
    ) -> None:
        monkeypatch.setenv("OPENAI_API_KEY", "sk-of-somebody-else")
        monkeypatch.delenv("DIFFAGENT_API_KEY", raising=False)
        ChatDiffAgent(base_url=server.url, **settings).invoke("a fox")

        assert server.keys == ["Bearer none"]

    async def test_an_organisation_of_openai_is_never_sent(
        self, server: ChatServer, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        for variable in ("OPENAI_ORG_ID", "OPENAI_ORGANIZATION", "OPENAI_PROJECT_ID"):
            monkeypatch.setenv(variable, "of-somebody-else")
        planner = ChatDiffAgent(base_url=server.url)
        planner.invoke("a fox")
        await planner.ainvoke("a fox")
        ChatDiffAgent(base_url=server.url, organization="ours").invoke("a fox")

        assert [sent.get("openai-organization") for sent in server.headers] == [None, None, "ours"]
        assert not any("of-somebody-else" in sent.values() for sent in server.headers)
        assert planner.openai_organization is None

    @pytest.mark.parametrize("named", ["in the environment", "in the program"])
    def test_a_password_in_the_address_is_refused(self, monkeypatch: pytest.MonkeyPatch, named: str) -> None:
        url = "http://me:password@planner.example/v1"
        monkeypatch.setenv("DIFFAGENT_BASE_URL", url)
        settings: dict[str, Any] = {"base_url": url} if named == "in the program" else {}
        with pytest.raises(ConfigError, match=r"'http://planner\.example/v1' came with .*DIFFAGENT_API_KEY") as raised:
            ChatDiffAgent(**settings)
        assert "password@" not in str(raised.value)

    def test_the_key_is_sent_and_shown_nowhere(self, server: ChatServer, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("DIFFAGENT_API_KEY", "our-secret")
        planner = ChatDiffAgent(base_url=server.url)
        planner.invoke("a fox")

        assert server.keys == ["Bearer our-secret"]
        assert "our-secret" not in repr(planner) + dumps(planner)

    def test_a_server_that_is_not_there_is_named_with_the_remedy(self) -> None:
        planner = ChatDiffAgent(base_url=f"http://127.0.0.1:{free_port()}/v1", max_retries=0)

        def ask() -> object:
            return planner.invoke("a fox")

        def stream() -> object:
            return list(planner.stream("a fox"))

        asks: list[Callable[[], object]] = [ask, stream]
        for one in asks:
            with pytest.raises(ConfigError, match=r"127\.0\.0\.1.*make vllm.*DIFFAGENT_BASE_URL"):
                one()

    async def test_a_server_that_is_not_there_async(self) -> None:
        planner = ChatDiffAgent(base_url=f"http://127.0.0.1:{free_port()}/v1", max_retries=0)

        with pytest.raises(ConfigError, match="make vllm"):
            await planner.ainvoke("a fox")
        with pytest.raises(ConfigError, match="make vllm"):
            [chunk async for chunk in planner.astream("a fox")]

    def test_local_is_the_planner_in_process(self, tmp_path: Any) -> None:
        planner = ChatDiffAgent.local(tmp_path, max_tokens=7)

        assert isinstance(planner, LocalChatDiffAgent)
        assert (planner.folder, planner.max_tokens) == (tmp_path, 7)


def test_variables_of_the_template_go_to_servers_that_do_not_know_them(server: ChatServer) -> None:
    variables = {"enable_thinking": False}
    ChatDiffAgent(base_url=server.url).bind_tools([draw_fox]).invoke("a fox")
    planner = ChatDiffAgent(base_url=server.url, extra_body={"chat_template_kwargs": variables})
    planner.bind_tools([draw_fox]).invoke("a fox")
    assert [asked.get("chat_template_kwargs") for asked in server.asked] == [None, variables]
