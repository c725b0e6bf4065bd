from __future__ import annotations

import json
import re
from typing import Any

import httpx
import openai
import pytest

from diffagent_tools.planning import conversation
from diffagent_tools.tools.generation import tool_schemas
from tests.diffagent_tools.serving.api.running import Running
from tests.graphs.paper_world import ANIMALS, CATALOG, FOOD, PaperBackend, WordEmbedder
from tool_specs.search.shortlist import Shortlister

PICTURE = re.compile(r"!\[(.*)\]\((.*)\)")
FOX = [{"role": "user", "content": "a fox"}]


def tools(request: str) -> list[Any]:
    """What a client offers the planner: the tools of a shortlist."""
    return tool_schemas(Shortlister(CATALOG, WordEmbedder()).shortlist(request))


def url_in(text: str | None) -> str:
    """The URL of the picture in an answer."""
    found = PICTURE.match(text or "")
    assert found, text
    return found[2]


def test_the_agent_answers_with_a_picture_of_the_pocket_world(pocket: Running) -> None:
    answer = pocket.client().chat.completions.create(
        model="diffagent", messages=[{"role": "user", "content": "a strawberry as a neon sign"}]
    )
    [choice] = answer.choices
    assert choice.finish_reason == "stop"
    assert httpx.get(url_in(choice.message.content)).content.startswith(b"\x89PNG")
    assert "Drawn with Pocket" in (choice.message.content or "")


async def test_the_agent_streams_its_answer(pocket: Running) -> None:
    async with pocket.async_client() as client:
        stream = await client.chat.completions.create(
            model="diffagent", messages=[{"role": "user", "content": "a pizza"}], stream=True
        )
        chunks = [chunk async for chunk in stream]
    assert chunks[0].choices[0].delta.role == "assistant"
    assert chunks[-1].choices[0].finish_reason == "stop"
    text = "".join(chunk.choices[0].delta.content or "" for chunk in chunks)
    async with httpx.AsyncClient() as browser:
        assert (await browser.get(url_in(text))).headers["content-type"] == "image/png"


def test_a_conversation_is_drawn_by_its_last_message(paper: Running, backend: PaperBackend) -> None:
    answer = paper.client().chat.completions.create(
        model="diffagent",
        seed=5,
        messages=[
            {"role": "system", "content": "You are kind."},
            {"role": "user", "content": "a fox"},
            {"role": "assistant", "content": "![a fox](http://127.0.0.1/pictures/0.png)"},
            {"role": "user", "content": [{"type": "text", "text": "a [pizza](now)"}]},
        ],
    )
    assert backend.drawn == [f"{FOOD} 5"]
    assert (answer.choices[0].message.content or "").startswith("![a pizza now](http://127.0.0.1")
    assert str(paper.store.folder) not in (answer.choices[0].message.content or "")


def test_a_checkpoint_can_be_talked_to_by_name(paper: Running, backend: PaperBackend) -> None:
    paper.client().chat.completions.create(model=ANIMALS, messages=[{"role": "user", "content": "a pizza"}])
    assert backend.drawn[0].startswith(ANIMALS)


def test_that_nothing_fits_is_an_answer_in_words(paper: Running, backend: PaperBackend) -> None:
    answer = paper.client().chat.completions.create(
        model="diffagent", messages=[{"role": "user", "content": "quarterly tax declaration"}]
    )
    assert "Nearest: Paper" in (answer.choices[0].message.content or "")
    assert backend.drawn == []


def test_the_planner_calls_the_clients_tools_and_the_server_draws_nothing(
    paper: Running, backend: PaperBackend
) -> None:
    client, offered = paper.client(), tools("a fox")
    answer = client.chat.completions.create(model="diffagent-planner", messages=FOX, tools=offered)  # type: ignore[arg-type]
    [choice] = answer.choices
    [call] = choice.message.tool_calls or []
    assert choice.finish_reason == "tool_calls"
    assert call.type == "function"
    assert call.function.name == CATALOG.get(ANIMALS).tool_name
    assert "fox" in json.loads(call.function.arguments)["prompt"]
    assert answer.usage is not None
    poor = json.dumps({"verdict": "fault", "reason": "black", "model": ANIMALS})
    again = client.chat.completions.create(
        model="diffagent-planner",
        messages=[*FOX, choice.message, {"role": "tool", "tool_call_id": call.id, "content": poor}],  # type: ignore[list-item]
        tools=offered,
    )
    said = again.choices[0].message
    assert not said.tool_calls or said.tool_calls[0].to_dict() != call.to_dict()
    assert backend.drawn == []


@pytest.mark.parametrize(
    ("choice", "called"),
    [
        ("none", None),
        ("required", CATALOG.get(FOOD).tool_name),
        ({"type": "function", "function": {"name": CATALOG.get(FOOD).tool_name}}, CATALOG.get(FOOD).tool_name),
    ],
)
def test_the_clients_choice_of_a_tool_is_passed_on(paper: Running, choice: Any, called: str | None) -> None:
    answer = paper.client().chat.completions.create(
        model="diffagent-planner",
        messages=[{"role": "user", "content": "a pizza"}],
        tools=tools("a pizza"),
        tool_choice=choice,
        temperature=0,
    )
    calls = answer.choices[0].message.tool_calls or []
    assert [call.function.name for call in calls if call.type == "function"] == ([called] if called else [])
    assert bool(answer.choices[0].message.content) is (called is None)


async def test_the_planner_streams_its_call(paper: Running) -> None:
    async with paper.async_client() as client:
        stream = await client.chat.completions.create(
            model="diffagent-planner",
            messages=FOX,  # type: ignore[arg-type]
            tools=tools("a fox"),
            stream=True,
            stream_options={"include_usage": True},
        )
        chunks = [chunk async for chunk in stream]
    pieces = [piece for chunk in chunks for one in chunk.choices for piece in one.delta.tool_calls or []]
    assert "".join(piece.function.name or "" for piece in pieces if piece.function) == CATALOG.get(ANIMALS).tool_name
    assert json.loads("".join(piece.function.arguments or "" for piece in pieces if piece.function))["steps"] == 4
    assert [one.finish_reason for chunk in chunks for one in chunk.choices][-1] == "tool_calls"
    assert chunks[-1].usage is not None


async def test_langchains_client_finds_the_planner_behind_it(paper: Running) -> None:
    from langchain_openai import ChatOpenAI

    model = ChatOpenAI(base_url=paper.url, api_key="none", model="diffagent-planner")  # type: ignore[arg-type]
    answer = await model.bind_tools(tools("a fox")).ainvoke([*conversation([]), ("human", "a fox")])  # type: ignore[operator]
    assert answer.tool_calls[0]["name"] == CATALOG.get(ANIMALS).tool_name


@pytest.mark.parametrize("model", ["diffagent", "diffagent-planner"])
@pytest.mark.parametrize(
    ("messages", "told"),
    [
        ([], "at least 1 item"),
        ([{"role": "king", "content": "a fox"}], "messages[0]: the role"),
        ([{"role": [], "content": "a fox"}], "messages[0]: the role"),
        ([{"role": "tool", "content": "a fox"}], "not in OpenAI's form"),
        ([{"role": "assistant", "content": None, "tool_calls": [{"id": "1"}]}], "not in OpenAI's form"),
    ],
)
def test_messages_that_are_none(paper: Running, model: str, messages: list[Any], told: str) -> None:
    with pytest.raises(openai.BadRequestError) as raised:
        paper.client().chat.completions.create(model=model, messages=messages)
    assert told in raised.value.message
    assert raised.value.param == "messages"


@pytest.mark.parametrize("model", ["diffagent", "diffagent-planner"])
def test_half_a_character_is_left_out(paper: Running, model: str) -> None:
    body = {"model": model, "messages": [{"role": "user", "content": "a fox \ud800"}]}
    sent = {"content": json.dumps(body), "headers": {"content-type": "application/json"}}
    answer = httpx.post(f"{paper.url}/chat/completions", **sent, timeout=60)
    assert answer.status_code == 200
    assert "a fox" in answer.json()["choices"][0]["message"]["content"]


@pytest.mark.parametrize("choice", [{"type": "function", "function": "f"}, {"type": "function", "function": None}])
def test_a_choice_that_names_no_tool(paper: Running, choice: Any) -> None:
    with pytest.raises(openai.BadRequestError, match="names no tool"):
        paper.client().chat.completions.create(
            model="diffagent-planner", messages=FOX, tools=tools("a fox"), tool_choice=choice
        )  # type: ignore[call-overload]


@pytest.mark.parametrize(
    ("messages", "told"),
    [
        ([{"role": "user", "content": "a fox"}, {"role": "assistant", "content": "what else?"}], "must be the user's"),
        ([{"role": "user", "content": "x" * 3000}], "3,000 characters"),
    ],
)
def test_messages_that_ask_for_no_picture(paper: Running, messages: list[Any], told: str) -> None:
    with pytest.raises(openai.BadRequestError, match=told):
        paper.client().chat.completions.create(model="diffagent", messages=messages)


@pytest.mark.parametrize(
    ("tool", "param"),
    [
        ({"type": "function"}, "tools.0.function"),
        ({"type": "function", "function": {}}, "tools.0.function.name"),
        ({"type": "custom", "function": {"name": "a"}}, "tools.0.type"),
        ({"type": "function", "function": {"name": "a", "parameters": 7}}, "tools.0.function.parameters"),
    ],
)
def test_tools_that_are_none(paper: Running, tool: Any, param: str) -> None:
    with pytest.raises(openai.BadRequestError) as raised:
        paper.client().chat.completions.create(model="diffagent-planner", messages=FOX, tools=[tool])  # type: ignore[arg-type]
    assert raised.value.param == param


def test_a_tool_that_is_no_model_of_the_catalog_is_let_be(paper: Running) -> None:
    clock: Any = {"type": "function", "function": {"name": "clock"}}
    answer = paper.client().chat.completions.create(
        model="diffagent-planner",
        messages=FOX,  # type: ignore[arg-type]
        tools=[clock, *tools("a fox")],
    )
    [call] = answer.choices[0].message.tool_calls or []
    assert call.type == "function"
    assert call.function.name == CATALOG.get(ANIMALS).tool_name


def test_a_model_that_is_not_there(paper: Running) -> None:
    with pytest.raises(openai.NotFoundError, match="holds no model 'gpt-4'"):
        paper.client().chat.completions.create(model="gpt-4", messages=FOX)  # type: ignore[arg-type]


def test_the_models_that_can_be_asked(pocket: Running) -> None:
    client = pocket.client()
    names = [model.id for model in client.models.list()]
    assert names[:2] == ["diffagent", "diffagent-planner"]
    assert len(names) == 6
    assert client.models.retrieve(names[2]).id == names[2]
    with pytest.raises(openai.NotFoundError):
        client.models.retrieve("gpt-4")
