from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from blockbuster import BlockBuster
from langchain.agents import create_agent
from langchain.agents.middleware import AgentMiddleware
from langchain_core.callbacks import CallbackManagerForLLMRun
from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, ToolMessage
from langchain_core.outputs import ChatGeneration, ChatResult
from langchain_core.tools import tool
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.checkpoint.sqlite import SqliteSaver

from diffagent_tools.artifacts import ArtifactStore
from diffagent_tools.backends import DiffusersBackend
from diffagent_tools.chat_models.calling import calling
from diffagent_tools.chat_models.retrieval import RetrievalChatModel
from diffagent_tools.middleware import MAX_REMEMBERED, DiffAgentMiddleware, FoundModel, latest_first, tokens_of
from diffagent_tools.toolkit import DiffAgentToolkit
from tests.diffagent_tools.scripted_model import (
    ScriptedModel,
    Step,
    call,
    draw,
    say,
    search,
    together,
    use,
    with_network,
)
from tool_specs.catalog import Catalog
from tool_specs.exceptions import ArtifactError, ConfigError
from tool_specs.rules import Rules
from tool_specs.search.ranked import RankedShortlister
from tool_specs.search.shortlist import Shortlister
from tool_specs.store.catalog import StoredCatalog
from tool_specs.store.database import CatalogDatabase

ANIMALS, FOOD, TRAVEL, OBJECTS = (
    "civitai_9001_pocket_animals", "civitai_9002_pocket_food", "civitai_9003_pocket_travel",
    "civitai_9004_pocket_objects",
)  # fmt: skip
PIXELS = "civitai:9011@9111"
REQUEST: Any = {"messages": [HumanMessage("a kitten, 8-bit")]}


def agent_of(toolkit: DiffAgentToolkit, *steps: Step, **settings: Any) -> tuple[Any, ScriptedModel]:
    """An agent that follows a script, and its model."""
    model = ScriptedModel(steps=list(steps))
    parts = {name: settings.pop(name) for name in ("checkpointer", "tools") if name in settings}
    return create_agent(model, middleware=[DiffAgentMiddleware(toolkit=toolkit, **settings)], **parts), model


def answers(state: dict[str, Any]) -> list[ToolMessage]:
    return [message for message in state["messages"] if isinstance(message, ToolMessage)]


def pictures(state: dict[str, Any]) -> list[dict[str, Any]]:
    return [one.artifact for one in answers(state) if one.artifact and one.artifact["type"] == "diffagent.image"]


def found(*names: str) -> list[FoundModel]:
    return [FoundModel(id=f"civitai:{name}", tool=name, type="Checkpoint", why=[]) for name in names]


def test_a_found_model_becomes_a_tool_that_draws(pocket_toolkit: DiffAgentToolkit) -> None:
    steps = [search("a kitten, 8-bit", k=8), with_network(ANIMALS, 1), say("done")]
    agent, model = agent_of(pocket_toolkit, *steps)
    state = agent.invoke(REQUEST)
    assert state["messages"][-1].text == "done", state["messages"][-1].text
    assert list(model.turns[0].tools) == ["search_models"]
    assert ANIMALS in model.turns[1].tools
    (drawn,) = pictures(state)
    (lora,) = drawn["call"]["loras"]
    assert drawn["call"]["checkpoint"] == "civitai:9001@9101"
    assert pocket_toolkit.store.open(drawn["image"]).size == (32, 32)
    assert lora["id"] != PIXELS, "which search has found first, so that using another one shows in the order"
    assert [one["id"] for one in state["diffagent_models"]][:2] == ["civitai:9001@9101", lora["id"]]
    json.dumps([state["diffagent_models"], *(one.artifact for one in answers(state))])


class SearchesFirst(RetrievalChatModel):
    """The retrieval planner as the model of an agent: it looks for models, has one of them draw, and is done."""

    def _generate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        told = [message.artifact["type"] for message in messages if isinstance(message, ToolMessage)]
        if not told:
            message = calling("search_models", {"query": messages[-1].text})
        elif "diffagent.image" in told:
            message = AIMessage("Here it is.")
        else:
            return super()._generate(messages, stop, run_manager, **kwargs)
        return ChatResult(generations=[ChatGeneration(message=message)])


def test_the_retrieval_planner_picks_among_the_tools_that_it_is_given(pocket_toolkit: DiffAgentToolkit) -> None:
    planner = SearchesFirst(catalog=pocket_toolkit.catalog, shortlister=pocket_toolkit.shortlister)
    agent = create_agent(planner, middleware=[DiffAgentMiddleware(toolkit=pocket_toolkit)])
    state = agent.invoke({"messages": [HumanMessage("a pizza on a red background, as watercolor")]})
    (drawn,) = pictures(state)
    assert drawn["call"]["checkpoint"] == "civitai:9002@9102"
    assert [lora["id"] for lora in drawn["call"]["loras"]] == ["civitai:9013@9113"]
    assert state["messages"][-1].text == "Here it is."


@pytest.fixture
def stored_toolkit(tmp_path: Path) -> Iterator[DiffAgentToolkit]:
    """The pocket models in a catalog on disk."""
    with CatalogDatabase.open(tmp_path / "catalog") as database:
        with database.transaction() as writing:
            writing.put_specs(list(Catalog.pocket()), origin="api")
        catalog = StoredCatalog(database)
        shortlister = RankedShortlister(catalog)
        shortlister.index.view()
        yield DiffAgentToolkit(
            catalog=catalog,
            backend=DiffusersBackend(catalog, device="cpu"),
            shortlister=shortlister,
            store=ArtifactStore(tmp_path / "artifacts"),
        )


async def test_nothing_blocks_the_event_loop_and_steps_are_streamed(stored_toolkit: DiffAgentToolkit) -> None:
    agent, _ = agent_of(
        stored_toolkit,
        search("pocket animals cat", k=8),
        draw(ANIMALS),
        call("civitai_9_unknown"),
        say("done"),
        attach_image="user_message",
        checkpointer=InMemorySaver(),
    )
    events, state = [], {}
    guard = BlockBuster(scanned_modules=["diffagent_tools", "tool_specs"])
    guard.activate()
    try:
        config = {"configurable": {"thread_id": "1"}}
        async for mode, chunk in agent.astream(REQUEST, config, stream_mode=["custom", "values"]):
            if mode == "custom":
                events.append(chunk)
            else:
                state = chunk
    finally:
        guard.deactivate()
    assert state["messages"][-1].text == "done", state["messages"][-1].text
    assert len(pictures(state)) == 1
    assert {"event": "step", "model": "civitai:9001@9101", "step": 2, "total": 2} in events
    assert answers(state)[-1].status == "error"


def test_a_thread_goes_on_with_its_tools_after_a_restart(
    pocket_toolkit: DiffAgentToolkit, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LANGGRAPH_STRICT_MSGPACK", "true")
    config = {"configurable": {"thread_id": "1"}}
    steps = [search("a kitten"), say("which one?"), draw(ANIMALS), say("done")]
    for request in ("a kitten", "the first"):
        with SqliteSaver.from_conn_string(str(tmp_path / "threads.sqlite")) as saver:
            agent, model = agent_of(pocket_toolkit, *steps, checkpointer=saver)
            state = agent.invoke({"messages": [HumanMessage(request)]}, config)
    assert ANIMALS in model.turns[0].tools
    assert len(pictures(state)) == 1


def test_what_the_catalog_has_lost_leaves(pocket_toolkit: DiffAgentToolkit) -> None:
    config, saver = {"configurable": {"thread_id": "1"}}, InMemorySaver()
    agent, _ = agent_of(pocket_toolkit, search("a kitten", k=20), say("done"), checkpointer=saver)
    agent.invoke(REQUEST, config)
    catalog = Catalog(spec for spec in pocket_toolkit.catalog if spec.id not in ("civitai:9001@9101", PIXELS))
    smaller = DiffAgentToolkit(
        catalog=catalog, backend=pocket_toolkit.backend, shortlister=pocket_toolkit.shortlister,
        store=pocket_toolkit.store,
    )  # fmt: skip
    steps = [say(""), say(""), call(ANIMALS, prompt="a cat"), say("done")]
    agent, model = agent_of(smaller, *steps, checkpointer=saver, max_tokens=9000)
    state = agent.invoke(REQUEST, config)
    assert model.models_bound()[0] == [FOOD, TRAVEL, OBJECTS]
    assert PIXELS not in json.dumps(model.turns[0].tools)
    assert answers(state)[-1].status == "error"
    assert "call search_models" in answers(state)[-1].text


def test_the_ones_found_last_stay_and_one_that_left_comes_back_when_it_is_called(
    pocket_toolkit: DiffAgentToolkit,
) -> None:
    agent, model = agent_of(
        pocket_toolkit,
        search("a kitten", k=1),
        draw(ANIMALS),
        search("a pizza", k=1),
        draw(FOOD),
        call(ANIMALS, **draw_arguments(prompt="another cat")),
        say("done"),
        max_tools=1,
    )
    state = agent.invoke(REQUEST)
    assert state["messages"][-1].text == "done", state["messages"][-1].text
    assert model.models_bound() == [[], [ANIMALS], [ANIMALS], [FOOD], [FOOD], [ANIMALS]]
    assert [one["call"]["prompt"] for one in pictures(state)][-1] == "another cat"
    assert len(pictures(state)) == 3


def draw_arguments(**changes: object) -> dict[str, object]:
    return {
        "prompt": "a cat", "negative_prompt": "", "sampler": "Euler", "steps": 2, "cfg_scale": 2.0, "width": 32,
        "height": 32, "clip_skip": 1, "seed": 1, "loras": [],
    } | changes  # fmt: skip


def test_tools_keep_within_the_budget_and_use_it(pocket_toolkit: DiffAgentToolkit) -> None:
    everything = [
        FoundModel(id=spec.id, tool=spec.tool_name, type=spec.type, why=["it is there"])
        for spec in pocket_toolkit.catalog
    ]
    checkpoints = [one["tool"] for one in everything if one["type"] == "Checkpoint"]
    for max_tokens in range(1500, 5000, 100):
        middleware = DiffAgentMiddleware(toolkit=pocket_toolkit, max_tokens=max_tokens)
        tools = middleware.offered(everything)
        total = tokens_of(*middleware.tools, *tools)
        assert total <= max_tokens
        assert len(tools) == 4 or total + 1.1 * tokens_of(tools[0]) > max_tokens
        assert [one.name for one in tools] == sorted(checkpoints[: len(tools)])


def test_the_latest_model_is_on_offer_even_in_a_small_budget(pocket_toolkit: DiffAgentToolkit) -> None:
    agent, model = agent_of(pocket_toolkit, search("a pizza", type="Checkpoint"), draw(FOOD), say("done"),
                            max_tokens=500)  # fmt: skip
    agent.invoke(REQUEST)
    assert model.models_bound() == [[], [FOOD], [FOOD]]


@pytest.mark.parametrize(
    ("step", "told"),
    [
        (call(OBJECTS, **draw_arguments()), f"{OBJECTS} is not on offer: call search_models"),
        (call("civitai_1_nonsense"), "civitai_1_nonsense is not on offer: call search_models"),
        (call("paint"), "paint is not a valid tool, try one of [search_models]"),
        (call(ANIMALS, **draw_arguments(sampler="Nonsense")), "the arguments are not valid: sampler"),
        (call(ANIMALS, **draw_arguments(loras=[{"id": "civitai:1@1", "weight": 1}])), "civitai:9011@9111"),
        (search(""), "the arguments are not valid: query"),
        (search("…"), "holds no words"),
    ],
)
async def test_what_the_model_can_put_right_is_told_to_it(
    pocket_toolkit: DiffAgentToolkit, step: Step, told: str
) -> None:
    steps = [search("a kitten, 8-bit", k=2), step, draw(ANIMALS), say("done")]
    for run in (lambda agent: agent.invoke(REQUEST), lambda agent: agent.ainvoke(REQUEST)):
        agent, _ = agent_of(pocket_toolkit, *steps)
        outcome = run(agent)
        state = outcome if isinstance(outcome, dict) else await outcome
        message = answers(state)[1]
        assert message.status == "error"
        assert told in message.text
        assert len(message.text) < 600
        assert len(pictures(state)) == 1, state["messages"][-1].text


def test_what_no_call_can_put_right_is_raised(pocket_toolkit: DiffAgentToolkit, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    toolkit = DiffAgentToolkit(
        catalog=pocket_toolkit.catalog, backend=pocket_toolkit.backend, shortlister=pocket_toolkit.shortlister,
        store=ArtifactStore(tmp_path / "file"),
    )  # fmt: skip
    agent, _ = agent_of(toolkit, search("a kitten"), draw(ANIMALS))
    with pytest.raises(ArtifactError, match="choose another folder"):
        agent.invoke(REQUEST)


def test_two_searches_in_one_turn(pocket_toolkit: DiffAgentToolkit) -> None:
    both = together(search("a kitten", k=1), search("a pizza", k=1))
    agent, model = agent_of(pocket_toolkit, both, together(draw(ANIMALS), draw(FOOD)), say("done"))
    state = agent.invoke(REQUEST)
    assert model.models_bound() == [[], [ANIMALS, FOOD], [ANIMALS, FOOD]]
    assert len(pictures(state)) == 2


def test_described_models_are_found_too_but_not_those_that_the_rules_forbid(pocket_toolkit: DiffAgentToolkit) -> None:
    catalog = Catalog(
        spec.model_copy(update={"content_rating": "mature"}) if spec.id == "civitai:9002@9102" else spec
        for spec in pocket_toolkit.catalog
    )
    toolkit = DiffAgentToolkit(
        catalog=catalog, backend=pocket_toolkit.backend, store=pocket_toolkit.store,
        shortlister=Shortlister(catalog, pocket_toolkit.shortlister.embedder, rules=Rules()),
    )  # fmt: skip
    agent, model = agent_of(
        toolkit,
        use("describe_model", model="9002"),
        call(FOOD, **draw_arguments()),
        use("describe_model", model="9001"),
        draw(ANIMALS),
        say("done"),
        tools=toolkit.get_tools(),
    )
    state = agent.invoke(REQUEST)
    assert model.models_bound() == [[], [], [], [ANIMALS], [ANIMALS]]
    assert "not on offer" in answers(state)[1].text
    assert len(pictures(state)) == 1


@pytest.mark.parametrize("attach_image", ["none", "user_message", "tool_message"])
def test_a_vision_model_sees_the_picture_and_state_does_not_hold_it(
    pocket_toolkit: DiffAgentToolkit, attach_image: str
) -> None:
    agent, model = agent_of(pocket_toolkit, search("a kitten"), draw(ANIMALS), say("done"), attach_image=attach_image)
    state = agent.invoke(REQUEST)
    last = model.turns[-1].messages[-1]
    shown = [block["type"] for block in last.content_blocks].count("image")
    assert (last.type, shown) == {"none": ("tool", 0), "user_message": ("human", 1), "tool_message": ("tool", 1)}[
        attach_image
    ]
    assert [message.type for message in state["messages"]] == ["human", "ai", "tool", "ai", "tool", "ai"]
    assert all(isinstance(message.content, str) for message in state["messages"])


@tool
def weather(city: str) -> str:
    """Tell the weather."""
    return f"rain in {city}"


class Counting(AgentMiddleware):
    """Another middleware around the tools."""

    def __init__(self) -> None:
        self.names: list[str] = []

    def wrap_tool_call(self, request: Any, handler: Callable[[Any], Any]) -> Any:
        self.names.append(request.tool.name if request.tool else "")
        return handler(request)


def test_other_tools_and_other_middleware_go_on_working(pocket_toolkit: DiffAgentToolkit) -> None:
    model = ScriptedModel(steps=[use("weather", city="Ghent"), search("a kitten"), draw(ANIMALS), say("done")])
    counting = Counting()
    ours = DiffAgentMiddleware(toolkit=pocket_toolkit)
    state = create_agent(model, tools=[weather], middleware=[ours, counting]).invoke(REQUEST)
    assert answers(state)[0].text == "rain in Ghent"
    assert len(pictures(state)) == 1
    assert counting.names == ["weather", "search_models", ANIMALS]


def test_the_latest_come_first_once_each_and_not_without_end() -> None:
    assert latest_first(found("a", "b"), found("c", "a")) == found("c", "a", "b")
    newer = FoundModel(id="civitai:1@2", tool="a", type="Checkpoint", why=["newer"])
    assert latest_first(found("a", "b"), [newer]) == [newer, *found("b")]
    many = found(*(str(number) for number in range(MAX_REMEMBERED)))
    assert latest_first(many, found("new")) == [*found("new"), *many[:-1]]


@pytest.mark.parametrize(
    ("settings", "message"), [({"max_tools": 0}, "max_tools=0"), ({"max_tokens": 100}, "used up by search_models")]
)
def test_settings_that_leave_no_tool(pocket_toolkit: DiffAgentToolkit, settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        DiffAgentMiddleware(toolkit=pocket_toolkit, **settings)


def test_importing_it_loads_nothing_heavy() -> None:
    heavy = ("torch", "diffusers", "transformers")
    code = f"import sys, diffagent_tools.middleware; print([name for name in {heavy} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
