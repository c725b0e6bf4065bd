"""The agent inside graphs of other people."""

from __future__ import annotations

import operator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import pytest
from langchain_core.messages import AIMessage, HumanMessage, ToolMessage
from langchain_core.runnables import RunnableConfig, RunnableLambda
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.graph import END, START, MessagesState, StateGraph
from langgraph.graph.state import CompiledStateGraph
from langgraph.types import Command, Send
from pydantic.dataclasses import dataclass as checked_dataclass
from typing_extensions import TypedDict

from graphs.agent import DiffAgentGraph
from graphs.context import DiffAgentContext
from graphs.state import Attempt, DiffAgentState
from tests.graphs.paper_world import ANIMALS, FOOD, PaperBackend, ScriptedPlanner, calling, paper_agent
from tool_specs.exceptions import RequestError


class PostState(TypedDict, total=False):
    """A graph that illustrates a post; none of its keys is the agent's."""

    title: str
    picture: Attempt | None


class Posts(TypedDict, total=False):
    titles: list[str]
    pictures: Annotated[list[str], operator.add]


@pytest.fixture
def backend(tmp_path: Path) -> PaperBackend:
    return PaperBackend(tmp_path / "drawn.log")


@pytest.fixture
def agent(tmp_path: Path, backend: PaperBackend) -> DiffAgentGraph:
    return paper_agent(tmp_path, backend, planner=ScriptedPlanner(answers=[calling(ANIMALS)]))


def thread(name: str = "t") -> RunnableConfig:
    return {"configurable": {"thread_id": name}}


def illustrating(agent: DiffAgentGraph, **compiled: Any) -> CompiledStateGraph[PostState, Any, PostState, PostState]:
    """Calls the agent inside a node."""

    def illustrate(state: PostState) -> PostState:
        return {"picture": agent.invoke({"request": state["title"]})["best"]}

    async def aillustrate(state: PostState) -> PostState:
        return {"picture": (await agent.ainvoke({"request": state["title"]}))["best"]}

    builder = StateGraph(PostState, context_schema=compiled.pop("context_schema", None))
    builder.add_node("illustrate", RunnableLambda(illustrate, afunc=aillustrate, name="illustrate"))
    builder.add_edge(START, "illustrate")
    return builder.compile(**compiled)


async def test_a_node_with_a_state_of_its_own_calls_it(agent: DiffAgentGraph, backend: PaperBackend) -> None:
    graph = illustrating(agent)
    state = graph.invoke({"title": "a fox"})
    assert set(state) == {"title", "picture"}
    assert state["picture"]["model"] == ANIMALS
    assert (await graph.ainvoke({"title": "a fox"}))["picture"]["model"] == ANIMALS
    assert len(backend.drawn) == 2


def test_its_question_stops_the_bigger_graph_and_its_answer_goes_through(tmp_path: Path, backend: PaperBackend) -> None:
    agent = paper_agent(tmp_path, backend, planner=ScriptedPlanner(answers=[calling(ANIMALS)]), approve=True)
    graph = illustrating(agent, checkpointer=InMemorySaver())
    asked = graph.invoke({"title": "a fox"}, thread())
    assert asked["__interrupt__"][0].value["model"] == ANIMALS
    assert backend.drawn == []
    state = graph.invoke(Command(resume={"type": "edit", "arguments": {"seed": 5}}), thread())
    assert state["picture"]["call"]["seed"] == 5
    assert backend.drawn == [f"{ANIMALS} 5"]


def test_a_shared_conversation_goes_on_over_several_turns(agent: DiffAgentGraph, backend: PaperBackend) -> None:
    builder = StateGraph(MessagesState)
    builder.add_node("draw", agent)
    builder.add_edge(START, "draw")
    graph = builder.compile(checkpointer=InMemorySaver())
    graph.invoke({"messages": [HumanMessage("a fox")]}, thread())
    messages = graph.invoke({"messages": [HumanMessage("a cat")]}, thread())["messages"]
    assert [message.text for message in messages if isinstance(message, HumanMessage)] == ["a fox", "a cat"]
    assert [type(message) for message in messages] == [HumanMessage, AIMessage, ToolMessage, AIMessage] * 2
    assert len({message.id for message in messages}) == 8
    assert len(backend.drawn) == 2


async def test_a_supervisor_hands_over_and_hears_back(agent: DiffAgentGraph, backend: PaperBackend) -> None:
    """The supervisor's tool call and its answer stand between the person's words and the agent."""

    def supervise(state: MessagesState) -> Command[str]:
        said = state["messages"][-1]
        if isinstance(said, AIMessage) and "Drawn with" in said.text:
            return Command(goto=END, update={"messages": [AIMessage("There you are.", name="supervisor")]})
        call = {"name": "transfer_to_painter", "args": {}, "id": "handoff", "type": "tool_call"}
        told = ToolMessage("transferred to painter", tool_call_id="handoff")
        return Command(goto="painter", update={"messages": [AIMessage("", tool_calls=[call]), told]})

    builder = StateGraph(MessagesState)
    builder.add_node("supervisor", supervise, destinations=("painter", END))
    builder.add_node("painter", agent)
    builder.add_edge(START, "supervisor")
    builder.add_edge("painter", "supervisor")
    messages = (await builder.compile().ainvoke({"messages": [HumanMessage("a fox")]}))["messages"]
    assert messages[-1].text == "There you are."
    calls = [call["id"] for message in messages if isinstance(message, AIMessage) for call in message.tool_calls]
    assert calls[0] == "handoff"
    assert calls == [message.tool_call_id for message in messages if isinstance(message, ToolMessage)]
    assert len(backend.drawn) == 1


def test_without_a_word_of_a_person_there_is_nothing_to_draw(agent: DiffAgentGraph, backend: PaperBackend) -> None:
    with pytest.raises(RequestError, match="empty"):
        agent.invoke({"messages": [AIMessage("Over to you.")]})
    assert backend.drawn == []


async def test_branches_draw_side_by_side(agent: DiffAgentGraph, backend: PaperBackend) -> None:
    async def draw(state: DiffAgentState) -> Posts:
        best = (await agent.ainvoke({"request": state["request"]}))["best"]
        return {"pictures": [f"{state['request']}: {best['call']['prompt']}"]}

    builder = StateGraph(Posts)
    builder.add_node("draw", draw, input_schema=DiffAgentState)
    builder.add_conditional_edges(START, lambda state: [Send("draw", {"request": one}) for one in state["titles"]])
    graph = builder.compile(checkpointer=InMemorySaver())
    state = await graph.ainvoke({"titles": ["a fox", "a cat", "a dog"]}, thread())
    assert state["pictures"] == ["a fox: a fox", "a cat: a fox", "a dog: a fox"]
    assert len(backend.drawn) == 3


def test_two_agents_share_a_conversation_in_parallel(tmp_path: Path, backend: PaperBackend) -> None:
    builder = StateGraph(MessagesState)
    for name, model in (("animals", ANIMALS), ("food", FOOD)):
        builder.add_node(name, paper_agent(tmp_path, backend, planner=ScriptedPlanner(answers=[calling(model)])))
        builder.add_edge(START, name)
    graph = builder.compile(checkpointer=InMemorySaver())
    parts = list(
        graph.stream(
            {"messages": [HumanMessage("a fox")]}, thread(), stream_mode="custom", subgraphs=True, version="v2"
        )
    )
    ended = {part["ns"][0].split(":")[0] for part in parts if part["data"]["event"] == "outcome"}
    assert ended == {"animals", "food"}
    messages = graph.get_state(thread()).values["messages"]
    assert sum(isinstance(message, HumanMessage) for message in messages) == 1
    said = [message.text for message in messages if "Drawn with" in message.text]
    assert sorted(model for model in (ANIMALS, FOOD) for text in said if model in text) == [ANIMALS, FOOD]


FOX: DiffAgentState = {"request": "a fox"}


def test_a_run_sets_its_threshold_and_its_attempts(agent: DiffAgentGraph, backend: PaperBackend) -> None:
    backend.levels = (0.4,)
    assert agent.invoke(FOX)["outcome"]["status"] == "best_effort"
    assert len(backend.drawn) == 3
    assert agent.invoke(FOX, context=DiffAgentContext(threshold=0.3))["outcome"]["status"] == "accepted"
    assert len(backend.drawn) == 4
    assert agent.invoke(FOX, context={"threshold": 0, "max_attempts": 2})["outcome"]["status"] == "accepted"
    agent.invoke(FOX, context=DiffAgentContext(max_attempts=2))
    assert len(backend.drawn) == 7
    agent.invoke({**FOX, "options": {"max_attempts": 1}}, context=DiffAgentContext(max_attempts=2))
    assert len(backend.drawn) == 8


def test_a_run_sets_its_seconds(agent: DiffAgentGraph, backend: PaperBackend) -> None:
    backend.levels, backend.step_seconds = (0.1,), 0.01
    state = agent.invoke(FOX, context=DiffAgentContext(max_seconds=0.001))
    assert len(state["attempts"]) == 1
    assert "used up" in state["outcome"]["reason"]


def test_a_run_asks_a_person(tmp_path: Path, backend: PaperBackend) -> None:
    planner = ScriptedPlanner(answers=[calling(ANIMALS)])
    agent = paper_agent(tmp_path, backend, planner=planner, checkpointer=InMemorySaver())
    assert "__interrupt__" in agent.invoke(FOX, thread("asked"), context=DiffAgentContext(approve=True))
    assert agent.invoke(FOX, thread("not asked"))["outcome"]["status"] == "accepted"


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"threshold": "high"}, "threshold='high' is not a number"),
        ({"threshold": float("nan")}, "threshold"),
        ({"max_attempts": 0}, "max_attempts=0 is too small: the least is 1"),
        ({"max_seconds": -1}, "max_seconds=-1 is too small"),
        ({"speed": 1}, "speed"),
    ],
)
def test_a_bad_setting_is_refused(
    agent: DiffAgentGraph, backend: PaperBackend, given: dict[str, object], told: str
) -> None:
    with pytest.raises(RequestError, match=told):
        agent.invoke(FOX, context=given)
    assert backend.drawn == []


def test_settings_are_described_for_a_server(agent: DiffAgentGraph) -> None:
    schema = agent.get_context_jsonschema()
    assert schema is not None
    assert set(schema["properties"]) == {"cancel", "threshold", "max_attempts", "max_seconds", "approve"}
    assert schema["properties"]["max_attempts"]["anyOf"][0] == {"maximum": 20, "minimum": 1, "type": "integer"}


@checked_dataclass(frozen=True)
class EditorContext(DiffAgentContext):
    """A bigger graph's context that also sets the agent's."""

    editor: str = "nobody"


@dataclass(frozen=True)
class OtherContext:
    threshold: float


def test_a_bigger_graphs_context_reaches_it_when_it_is_of_its_kind(
    agent: DiffAgentGraph, backend: PaperBackend
) -> None:
    backend.levels = (0.1,)
    graph = illustrating(agent, context_schema=EditorContext)
    graph.invoke({"title": "a fox"}, context=EditorContext(editor="Ann", max_attempts=1))
    assert len(backend.drawn) == 1


def test_a_context_of_another_kind_is_left_alone_and_one_call_may_have_its_own(
    agent: DiffAgentGraph, backend: PaperBackend
) -> None:
    backend.levels = (0.1,)
    illustrating(agent, context_schema=OtherContext).invoke({"title": "a fox"}, context=OtherContext(0.0))
    assert len(backend.drawn) == 3

    def once(state: PostState) -> PostState:
        return {"picture": agent.invoke({"request": state["title"]}, context=DiffAgentContext(max_attempts=1))["best"]}

    builder = StateGraph(PostState, context_schema=OtherContext)
    builder.add_node("once", once)
    builder.add_edge(START, "once")
    builder.compile().invoke({"title": "a fox"}, context=OtherContext(0.0))
    assert len(backend.drawn) == 4
