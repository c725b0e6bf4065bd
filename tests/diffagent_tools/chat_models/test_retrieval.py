from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, AIMessageChunk, BaseMessage, HumanMessage, SystemMessage, ToolMessage
from langchain_core.tools import tool
from langchain_tests.unit_tests import ChatModelUnitTests

from diffagent_tools.artifacts import ArtifactStore
from diffagent_tools.backends import DiffusersBackend
from diffagent_tools.chat_models.retrieval import RetrievalChatModel
from diffagent_tools.embeddings import MiniLMEmbedder
from diffagent_tools.tools.generation import GenerationTool, tools_for
from tests.tool_specs.conftest import SpecMaker, make_spec
from tool_specs.calls import to_call
from tool_specs.catalog import Catalog
from tool_specs.exceptions import RequestError
from tool_specs.search.shortlist import Shortlister
from tool_specs.spec import Example, ModelFile

__all__ = ["make_spec"]

FILE = ModelFile(id=1, name="x.safetensors", type="Model", format="SafeTensor", size_kb=1)


class TestStandard(ChatModelUnitTests):
    """LangChain's own suite."""

    @property
    def chat_model_class(self) -> type[BaseChatModel]:
        return RetrievalChatModel

    @property
    def chat_model_params(self) -> dict[str, Any]:
        catalog = Catalog()
        return {"catalog": catalog, "shortlister": Shortlister(catalog, MiniLMEmbedder())}

    @property
    def has_structured_output(self) -> bool:
        return False


@pytest.fixture
def planner(pocket_catalog: Catalog, shortlister: Shortlister) -> RetrievalChatModel:
    return RetrievalChatModel(catalog=pocket_catalog, shortlister=shortlister)


def offered(planner: RetrievalChatModel, request_text: str, folder: Path) -> list[GenerationTool]:
    """The tools of a request; nothing is drawn with them here."""
    backend, store = DiffusersBackend(planner.catalog), ArtifactStore(folder)
    return tools_for(planner.shortlister.shortlist(request_text), backend, store)


def only_call(answer: BaseMessage) -> dict[str, Any]:
    assert isinstance(answer, AIMessage)
    assert answer.usage_metadata == {"input_tokens": 0, "output_tokens": 0, "total_tokens": 0}
    (call,) = answer.tool_calls
    return dict(call)


@pytest.mark.parametrize(
    ("request_text", "tool_name", "prompt", "loras"),
    [
        (
            "a kitten, 8-bit",
            "civitai_9001_pocket_animals",
            "a cat on a white background, pixel art",
            ["civitai:9011@9111"],
        ),
        ("a cup of coffee on a gray background", "civitai_9002_pocket_food", "coffee on a gray background", []),
        (
            "architect's plan of a castle",
            "civitai_9003_pocket_travel",
            "a castle on a white background, blueprint",
            ["civitai:9015@9115"],
        ),
        ("a guitar as a neon sign at sunset", "civitai_9004_pocket_objects", "a guitar at sunset, neon",
         ["civitai:9014@9114"]),
        ("a fox on a mint green background, vintage photo", "civitai_9001_pocket_animals",
         "a fox on a mintcolor background, sepia", ["civitai:9016@9116", "civitai:9021@9121"]),
    ],
)  # fmt: skip
def test_a_request_becomes_one_call(
    planner: RetrievalChatModel, tmp_path: Path, request_text: str, tool_name: str, prompt: str, loras: list[str]
) -> None:
    tools = offered(planner, request_text, tmp_path)
    call = only_call(planner.bind_tools(tools).invoke(request_text))
    arguments = call["args"]
    assert call["name"] == tool_name
    assert arguments["prompt"] == prompt
    assert [lora["id"] for lora in arguments["loras"]] == loras
    spec = planner.catalog.get(tool_name)
    assert arguments["sampler"] == spec.recommended.sampler
    assert arguments["steps"] == spec.recommended.steps.median
    assert arguments["seed"] is None
    chosen = next(tool for tool in tools if tool.name == tool_name)
    chosen.args_schema.model_validate(arguments)  # type: ignore[union-attr]
    assert to_call(spec, arguments).prompt == prompt


def test_nothing_fits_is_said_with_the_nearest(planner: RetrievalChatModel, tmp_path: Path) -> None:
    request_text = "a detailed map of Portugal"
    answer = planner.bind_tools(offered(planner, request_text, tmp_path)).invoke(request_text)
    assert answer.tool_calls == []
    assert answer.text.count("civitai:") == 3
    assert request_text in answer.text


def test_a_tool_choice_is_kept(planner: RetrievalChatModel, tmp_path: Path) -> None:
    request_text = "a detailed map of Portugal"
    tools = offered(planner, request_text, tmp_path)
    call = only_call(planner.bind_tools(tools, tool_choice="any").invoke(request_text))
    assert call["args"]["prompt"] == request_text
    food = "civitai_9002_pocket_food"
    assert only_call(planner.bind_tools(tools, tool_choice=food).invoke("a cat"))["name"] == food
    named = {"type": "function", "function": {"name": food}}
    assert only_call(planner.bind_tools(tools, tool_choice=named).invoke("a cat"))["name"] == food
    assert planner.bind_tools(tools, tool_choice="none").invoke("a cat").tool_calls == []


def test_the_search_is_called_first_where_a_call_is_demanded(planner: RetrievalChatModel, tmp_path: Path) -> None:
    @tool
    def search_models(query: str) -> str:
        """Find models."""
        return query

    @tool
    def title(words: str) -> str:
        """A form."""
        return words

    for choice in ("any", "search_models"):
        call = only_call(planner.bind_tools([search_models, title], tool_choice=choice).invoke("a cat"))
        assert (call["name"], call["args"]) == ("search_models", {"query": "a cat"})
    tools = [search_models, title, *offered(planner, "a cat", tmp_path)]
    bound = planner.bind_tools(tools, tool_choice="any")
    messages: list[BaseMessage] = [HumanMessage("a cat")]
    for told in ({"models": []}, {"image": "ab", "path": "/pictures/ab.png"}):
        answer = bound.invoke(messages)
        messages += [answer, ToolMessage(json.dumps(told), tool_call_id=only_call(answer)["id"])]
    names = [call["name"] for one in messages if isinstance(one, AIMessage) for call in one.tool_calls]
    assert names == ["search_models", "civitai_9001_pocket_animals"]
    assert "/pictures/ab.png" in bound.invoke(messages).text


def test_only_models_of_the_catalog_are_called(planner: RetrievalChatModel, tmp_path: Path) -> None:
    @tool
    def get_weather(city: str) -> str:
        """The weather."""
        return city

    assert planner.bind_tools([get_weather]).invoke("a cat").tool_calls == []
    tools = [get_weather, *offered(planner, "a cat", tmp_path)]
    assert only_call(planner.bind_tools(tools).invoke("a cat"))["name"] == "civitai_9001_pocket_animals"
    assert planner.invoke("a cat").tool_calls == []


def test_the_last_human_message_is_the_request(planner: RetrievalChatModel, tmp_path: Path) -> None:
    tools = offered(planner, "a cat", tmp_path)
    messages = [
        SystemMessage("draw"),
        HumanMessage("a cat"),
        AIMessage("done"),
        HumanMessage([{"type": "text", "text": "an owl"}]),
    ]
    assert only_call(planner.bind_tools(tools).invoke(messages))["args"]["prompt"] == "an owl on a white background"
    with pytest.raises(RequestError, match="no human message"):
        planner.invoke([SystemMessage("draw")])
    with pytest.raises(RequestError, match="holds no words"):
        planner.invoke(" ")


def test_what_failed_is_not_repeated(planner: RetrievalChatModel, tmp_path: Path) -> None:
    bound = planner.bind_tools(offered(planner, "a cat and a car", tmp_path))
    messages: list[BaseMessage] = [HumanMessage("a cat and a car")]
    seen = []
    for verdict in ("poor", "poor", "fault"):
        answer = bound.invoke(messages)
        call = only_call(answer)
        seen.append((call["name"], call["args"]["steps"], call["args"]["cfg_scale"], call["args"]["prompt"]))
        messages += [answer, ToolMessage(json.dumps({"verdict": verdict}), tool_call_id=call["id"])]
    names = [name for name, *_ in seen]
    assert names == ["civitai_9001_pocket_animals"] * 2 + ["civitai_9003_pocket_travel"]
    assert seen[1][1] > seen[0][1]
    assert seen[1][2] != seen[0][2]
    assert (seen[0][3], seen[2][3]) == ("a cat on a white background", "a car on a white background")
    assert only_call(bound.invoke(messages))["name"] == "civitai_9001_pocket_animals"


def test_when_every_model_failed_it_stops(planner: RetrievalChatModel, tmp_path: Path) -> None:
    bound = planner.bind_tools(offered(planner, "a cat", tmp_path))
    first = bound.invoke("a cat")
    failed = ToolMessage("the weights are damaged", tool_call_id=only_call(first)["id"], status="error")
    answer = bound.invoke([HumanMessage("a cat"), first, failed])
    assert answer.tool_calls == []
    assert "every model that fits has failed" in answer.text


async def test_it_works_asynchronously(planner: RetrievalChatModel, tmp_path: Path) -> None:
    tools = offered(planner, "a cat", tmp_path)
    assert (
        only_call(await planner.bind_tools(tools).ainvoke("a cat"))["args"]["prompt"] == "a cat on a white background"
    )
    chunks = [chunk async for chunk in planner.bind_tools(tools).astream("a cat")]
    assert sum(len(chunk.tool_calls) for chunk in chunks) == 1
    assert all(isinstance(chunk, AIMessageChunk) for chunk in [*chunks, *planner.bind_tools(tools).stream("a cat")])


def test_a_model_that_knows_most_words_gets_the_request_as_it_is(
    make_spec: SpecMaker, embedder: MiniLMEmbedder, tmp_path: Path
) -> None:
    paint = make_spec(1, base_model="SD 1.5", files=(FILE,), examples=(Example(prompt="castle, fog, matte painting"),))
    inks = [
        make_spec(number, "LORA", "SD 1.5", files=(FILE,), tags=("ink drawing",), trigger_words=("inkdraw", "inkwash"))
        for number in (2, 3)
    ]
    catalog = Catalog([paint, *inks])
    planner = RetrievalChatModel(catalog=catalog, shortlister=Shortlister(catalog, embedder))
    request_text = "a castle <lora:other:1>, ink drawing Negative prompt: people"
    arguments = only_call(planner.bind_tools(offered(planner, request_text, tmp_path)).invoke(request_text))["args"]
    assert arguments["prompt"] == "a castle, ink drawing, inkdraw"
    assert len(arguments["loras"]) == 1
    long = "a castle " * 222
    assert len(only_call(planner.bind_tools(offered(planner, long, tmp_path)).invoke(long))["args"]["prompt"]) <= 2000


def test_the_version_that_fits_best_is_the_one_called(
    make_spec: SpecMaker, embedder: MiniLMEmbedder, tmp_path: Path
) -> None:
    cars, foxes = (
        make_spec(
            1, base_model="SD 1.5", id=f"civitai:1@{version}", version_id=version, files=(FILE,), tags=(tag,),
            recommended=make_spec(base_model="SD 1.5").recommended.model_copy(update={"sampler": sampler}),
        )
        for version, tag, sampler in ((10, "car", "DDIM"), (11, "fox", "Heun"))
    )  # fmt: skip
    catalog = Catalog([cars, foxes])
    planner = RetrievalChatModel(catalog=catalog, shortlister=Shortlister(catalog, embedder))
    tools = offered(planner, "a fox", tmp_path)
    assert [tool.spec for tool in tools] == [foxes]
    assert only_call(planner.bind_tools(tools).invoke("a fox"))["args"]["sampler"] == "Heun"


def test_the_model_says_what_it_is(planner: RetrievalChatModel) -> None:
    assert planner._llm_type == "diffagent-retrieval"
    assert "shortlister" not in planner.model_dump()
    assert "catalog" not in repr(planner)
