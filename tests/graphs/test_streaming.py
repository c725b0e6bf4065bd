"""Every stream mode in LangGraph's typed form, version 2: `StreamPart` dicts with `type`, `ns` and `data`."""

from __future__ import annotations

from pathlib import Path
from typing import get_args

import pytest
from langchain_core.messages import BaseMessage
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.types import Command, GraphOutput, StreamMode, StreamPart

from graphs.agent import DiffAgentGraph
from graphs.state import DiffAgentState
from tests.graphs.paper_world import ANIMALS, PaperBackend, ScriptedPlanner, calling, paper_agent

FOX: DiffAgentState = {"request": "a fox"}
MODES: tuple[StreamMode, ...] = ("values", "updates", "messages", "custom", "checkpoints", "tasks", "debug")
NODES = ["shortlist", "select", "approve", "generate", "judge", "decide"]
Parts = list[StreamPart[DiffAgentState, DiffAgentState]]


@pytest.fixture
def agent(tmp_path: Path) -> DiffAgentGraph:
    planner = ScriptedPlanner(answers=[calling(ANIMALS)])
    return paper_agent(tmp_path, PaperBackend(tmp_path / "log"), planner=planner, checkpointer=InMemorySaver())


async def streamed(agent: DiffAgentGraph, way: str) -> Parts:
    config = {"configurable": {"thread_id": "t"}}
    if way == "sync":
        return list(agent.stream(FOX, config, stream_mode=list(MODES), version="v2"))
    return [part async for part in agent.astream(FOX, config, stream_mode=list(MODES), version="v2")]


def test_these_are_all_modes_there_are() -> None:
    assert set(MODES) == set(get_args(StreamMode))


@pytest.mark.parametrize("way", ["sync", "async"])
async def test_every_mode_tells_its_part(agent: DiffAgentGraph, way: str) -> None:
    parts = await streamed(agent, way)
    assert {part["type"] for part in parts} == set(MODES)
    assert all(part["ns"] == () for part in parts)
    events, nodes, said, started, states = [], [], [], [], []
    for part in parts:
        if part["type"] == "custom":
            events.append(part["data"]["event"])
        elif part["type"] == "updates":
            nodes.extend(part["data"])
        elif part["type"] == "messages":
            said.append(part["data"])
        elif part["type"] == "tasks" and "triggers" in part["data"]:
            started.append(part["data"]["name"])
        elif part["type"] == "values":
            states.append(part["data"])
    assert events == ["shortlist", "call", *["step"] * 4, "attempt", "outcome"]
    assert nodes == NODES
    assert started == NODES
    assert all(isinstance(message, BaseMessage) for message, _ in said)
    assert {told["langgraph_node"] for _, told in said} == {"shortlist", "select", "judge", "decide"}
    assert states[-1]["outcome"]["status"] == "accepted"
    last = [part["data"] for part in parts if part["type"] == "checkpoints"][-1]
    assert last["next"] == []
    assert last["values"]["best"] == states[-1]["best"]


async def test_a_question_is_part_of_the_values_and_of_the_output(tmp_path: Path) -> None:
    planner = ScriptedPlanner(answers=[calling(ANIMALS)])
    agent = paper_agent(
        tmp_path, PaperBackend(tmp_path / "log"), planner=planner, checkpointer=InMemorySaver(), approve=True
    )
    config = {"configurable": {"thread_id": "t"}}
    parts = [part async for part in agent.astream(FOX, config, stream_mode="values", version="v2")]
    assert [question.value["model"] for question in parts[-1]["interrupts"]] == [ANIMALS]
    output = await agent.ainvoke(Command(resume={"type": "approve"}), config, version="v2")
    assert isinstance(output, GraphOutput)
    assert output.interrupts == ()
    assert output.value["best"]["model"] == ANIMALS
