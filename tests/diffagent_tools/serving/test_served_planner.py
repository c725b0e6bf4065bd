"""The pocket planner on a real vLLM: the agent, the plain `openai` client, and what both are told."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Literal

import httpx
import openai
import pytest
from langchain_core.messages import HumanMessage, convert_to_openai_messages
from pydantic import BaseModel, Field

from diffagent_tools.chat_models.decoding import Decoder
from diffagent_tools.chat_models.diffagent import ChatDiffAgent
from diffagent_tools.planning import conversation, read_answer
from diffagent_tools.tools.generation import tool_schemas
from graphs.workshop import Workshop
from tests.diffagent_tools.serving.conftest import Served
from tool_specs.pocket import pocket_planner
from tool_specs.search.shortlist import Shortlist

pytestmark = [pytest.mark.slow, pytest.mark.vllm]

REQUESTS = (
    "a cat",
    "a kitten, 8-bit",
    "a fox on a blue background",
    "a pizza as a pencil sketch",
    "a bus in pixel art",
    "a slice of cake",
    "a castle at night, neon",
    "an owl",
    "a dog in watercolor",
    "a red car",
    "a burger",
    "a tractor",
    "a penguin, pencil sketch",
    "a train",
    "a bunch of grapes",
    "a horse in pixel art",
    "a ship",
    "a mouse",
    "an apple on a green background",
    "a rocket",
)


@pytest.fixture
def shortlist(served: Served) -> Shortlist:
    return Workshop().shortlister.shortlist("a kitten, 8-bit", k=8)


@pytest.fixture
def client(served: Served) -> openai.OpenAI:
    return openai.OpenAI(base_url=served.url, api_key=served.key)


@pytest.fixture
def asked(shortlist: Shortlist) -> dict[str, Any]:
    """A request as the agent puts it, in OpenAI's form."""
    messages = convert_to_openai_messages(conversation([HumanMessage("a kitten, 8-bit")]))
    return {"model": "diffagent", "messages": messages, "tools": tool_schemas(shortlist), "temperature": 0}


def test_the_server_reads_what_the_planner_was_trained_on(served: Served, asked: dict[str, Any]) -> None:
    """The same tokens over HTTP as in process, also with strict tools."""
    bound = ChatDiffAgent(base_url=served.url, api_key=served.key).bind_tools(asked["tools"])
    tools = bound.kwargs["tools"]  # type: ignore[attr-defined]
    seen = httpx.post(
        served.url.replace("/v1", "/tokenize"), json={**asked, "tools": tools, "add_special_tokens": False}, timeout=60
    )
    decoder = Decoder(pocket_planner())

    assert all(tool["function"]["strict"] for tool in tools)
    prompt = decoder.render(asked["messages"], asked["tools"])
    assert seen.json()["tokens"] == decoder.tokenizer(prompt, add_special_tokens=False)["input_ids"]


def test_a_stranger_without_the_key_is_turned_away(served: Served, asked: dict[str, Any]) -> None:
    with pytest.raises(openai.AuthenticationError):
        openai.OpenAI(base_url=served.url, api_key="another", max_retries=0).chat.completions.create(**asked)


class TestPlainClient:
    """What an application without LangChain gets."""

    def test_a_call(self, client: openai.OpenAI, asked: dict[str, Any]) -> None:
        choice = client.chat.completions.create(**asked).choices[0]

        assert choice.finish_reason == "tool_calls"
        assert choice.message.tool_calls
        call = choice.message.tool_calls[0]
        assert call.type == "function"
        assert call.function.name in {tool["function"]["name"] for tool in asked["tools"]}
        assert json.loads(call.function.arguments)["prompt"]

    def test_a_call_that_must_be_one_tool(self, client: openai.OpenAI, asked: dict[str, Any]) -> None:
        name = asked["tools"][-1]["function"]["name"]
        choice = {"type": "function", "function": {"name": name}}
        said = client.chat.completions.create(**asked, tool_choice=choice).choices[0].message

        assert said.tool_calls
        assert [call.function.name for call in said.tool_calls if call.type == "function"] == [name]

    def test_words_without_tools(self, client: openai.OpenAI) -> None:
        said = client.chat.completions.create(
            model="diffagent", messages=[{"role": "user", "content": "hello"}], max_tokens=8
        )

        assert said.usage is not None
        assert 1 <= said.usage.completion_tokens <= 8

    def test_a_stream(self, client: openai.OpenAI, asked: dict[str, Any]) -> None:
        name, arguments = "", ""
        for chunk in client.chat.completions.create(**asked, stream=True):
            for part in chunk.choices[0].delta.tool_calls or [] if chunk.choices else []:
                assert part.function is not None
                name += part.function.name or ""
                arguments += part.function.arguments or ""

        assert name in {tool["function"]["name"] for tool in asked["tools"]}
        assert arguments.startswith("{")

    def test_a_form(self, client: openai.OpenAI) -> None:
        schema = {"type": "object", "properties": {"fits": {"type": "boolean"}}, "required": ["fits"]}
        said = client.chat.completions.create(
            model="diffagent",
            messages=[{"role": "user", "content": "a cat"}],
            response_format={"type": "json_schema", "json_schema": {"name": "fit", "schema": schema}},
        )

        assert json.loads(str(said.choices[0].message.content))["fits"] in (True, False)


class Taste(BaseModel):
    """A form whose every field has an end."""

    style: Literal["pixel art", "neon", "none"]
    stars: int = Field(ge=1, le=5)
    why: str = Field(max_length=24)


@pytest.mark.usefixtures("served_here")
class TestForms:
    """What structured decoding can force, it forces, also on what the planner has never seen."""

    @pytest.mark.parametrize("method", ["json_schema", "function_calling"])
    def test_a_form(self, method: Literal["json_schema", "function_calling"]) -> None:
        said = ChatDiffAgent(max_tokens=128).with_structured_output(Taste, method=method).invoke("a cat, 8-bit")

        assert isinstance(said, Taste)

    @pytest.mark.parametrize("choice", ["any", "Taste"])
    def test_a_foreign_tool(self, choice: str) -> None:
        said = ChatDiffAgent(max_tokens=128).bind_tools([Taste], tool_choice=choice).invoke("a cat, 8-bit")

        assert [call["name"] for call in said.tool_calls] == ["Taste"]
        assert Taste(**said.tool_calls[0]["args"])

    def test_a_form_in_pieces(self) -> None:
        pieces = list(ChatDiffAgent(max_tokens=128).with_structured_output(Taste).stream("a cat, 8-bit"))

        assert isinstance(pieces[-1], Taste)


@pytest.mark.usefixtures("served_here")
class TestAgent:
    def test_twenty_requests(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """One variable makes the agent plan on the server."""
        monkeypatch.setenv("DIFFAGENT_HOME", str(tmp_path))
        workshop = Workshop()
        assert isinstance(workshop.planner, ChatDiffAgent)
        graph = workshop.graph()
        states = [graph.invoke({"request": request, "options": {"max_attempts": 2}}) for request in REQUESTS]

        problems = {
            state["request"]: (state["outcome"]["reason"], [attempt["reason"] for attempt in state["attempts"]])
            for state in states
            if state["outcome"]["status"] not in ("accepted", "best_effort")
        }
        assert problems == {}
        assert all(Path(state["best"]["reference"]["path"]).is_file() for state in states)

    def test_a_call_that_is_cut_off_is_not_drawn(self, served_here: Served, shortlist: Shortlist) -> None:
        planner = ChatDiffAgent(max_tokens=12).bind_tools(tool_schemas(shortlist), tool_choice="any")
        reading = read_answer(planner.invoke(conversation([HumanMessage("a kitten, 8-bit")])), shortlist)

        assert reading.call is None
        assert not reading.declined
        assert "length limit" in str(reading.problem)
