from __future__ import annotations

from collections.abc import Iterator
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pytest
from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.checkpoint.sqlite import SqliteSaver
from langgraph.types import Command

from graphs.agent import DiffAgentGraph
from graphs.context import DiffAgentContext
from graphs.nodes.approve import Decision
from graphs.state import DiffAgentInput
from tests.graphs.paper_world import ANIMALS, PIXEL, PaperBackend, ScriptedPlanner, calling, paper_agent

FOX = {"request": "a fox", "options": {"max_attempts": 2}}
THREAD: RunnableConfig = {"configurable": {"thread_id": "t"}}


@pytest.fixture(params=["memory", "sqlite"])
def agent(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[DiffAgentGraph]:
    backend = PaperBackend(tmp_path / "drawn.log")
    model = ScriptedPlanner(answers=[calling(ANIMALS)])
    kept = {"memory": nullcontext(InMemorySaver()), "sqlite": SqliteSaver.from_conn_string(str(tmp_path / "t.sqlite"))}
    with kept[request.param] as saver:
        yield paper_agent(tmp_path, backend, planner=model, checkpointer=saver, approve=True)


def drawn(folder: Path) -> int:
    return len(PaperBackend(folder / "drawn.log").drawn)


def answer(agent: DiffAgentGraph, decision: Decision) -> dict[str, Any]:
    return dict(agent.invoke(Command(resume=decision), THREAD))


def test_nothing_is_drawn_before_a_person_approves(agent: DiffAgentGraph, tmp_path: Path) -> None:
    question = agent.invoke(FOX, THREAD)["__interrupt__"][0].value
    assert question["model"] == ANIMALS
    assert question["arguments"]["prompt"] == "a fox"
    assert drawn(tmp_path) == 0
    state = answer(agent, {"type": "approve"})
    assert state["outcome"]["status"] == "accepted"
    assert drawn(tmp_path) == 1


def test_a_person_edits_the_call(agent: DiffAgentGraph, tmp_path: Path) -> None:
    agent.invoke(FOX, THREAD)
    state = answer(agent, {"type": "edit", "arguments": {"prompt": "a red fox", "steps": 7, "seed": 11}})
    call = state["best"]["call"]
    assert (call["prompt"], call["steps"], call["seed"]) == ("a red fox", 7, 11)
    assert state["messages"][1].tool_calls[0]["args"]["prompt"] == "a red fox"
    assert drawn(tmp_path) == 1


def test_a_wrong_edit_is_asked_about_again(agent: DiffAgentGraph, tmp_path: Path) -> None:
    agent.invoke(FOX, THREAD)
    again = answer(agent, {"type": "edit", "arguments": {"steps": 10**6}})
    assert "steps" in again["__interrupt__"][0].value["problem"]
    assert drawn(tmp_path) == 0
    state = answer(agent, {"type": "edit", "arguments": {"steps": 5}})
    assert state["best"]["call"]["steps"] == 5


def test_an_answer_of_the_wrong_shape_can_be_given_again(agent: DiffAgentGraph, tmp_path: Path) -> None:
    agent.invoke(FOX, THREAD)
    with pytest.raises(ValueError, match="type"):
        agent.invoke(Command(resume={"type": "maybe"}), THREAD)
    assert answer(agent, {"type": "approve"})["outcome"]["status"] == "accepted"
    assert drawn(tmp_path) == 1


def test_a_rejected_call_is_not_drawn_and_the_planner_hears_why(agent: DiffAgentGraph, tmp_path: Path) -> None:
    agent.invoke(FOX, THREAD)
    second = answer(agent, {"type": "reject", "message": "too red"})
    assert second["__interrupt__"][0].value["attempt"] == 2
    state = answer(agent, {"type": "reject"})
    assert state["outcome"]["status"] == "rejected"
    assert "too red" in state["messages"][2].text
    assert drawn(tmp_path) == 0


def test_an_option_asks_for_approval_of_one_request(tmp_path: Path) -> None:
    model = ScriptedPlanner(answers=[calling(ANIMALS)])
    agent = paper_agent(tmp_path, PaperBackend(tmp_path / "drawn.log"), planner=model, checkpointer=InMemorySaver())
    asked = agent.invoke({"request": "a fox", "options": {"approve": True}}, THREAD)
    assert "__interrupt__" in asked
    assert drawn(tmp_path) == 0


def test_a_rejection_counts_although_the_context_is_not_given_again(tmp_path: Path) -> None:
    model = ScriptedPlanner(answers=[calling(ANIMALS)])
    agent = paper_agent(tmp_path, PaperBackend(tmp_path / "drawn.log"), planner=model, checkpointer=InMemorySaver())
    request: DiffAgentInput = {"request": "a fox", "options": {"max_attempts": 1}}
    assert "__interrupt__" in agent.invoke(request, THREAD, context=DiffAgentContext(approve=True))
    assert answer(agent, {"type": "reject"})["outcome"]["status"] == "rejected"
    assert drawn(tmp_path) == 0


def test_an_edit_may_name_a_network_that_was_not_on_offer(tmp_path: Path) -> None:
    model = ScriptedPlanner(answers=[calling(ANIMALS)])
    backend = PaperBackend(tmp_path / "drawn.log")
    agent = paper_agent(tmp_path, backend, planner=model, checkpointer=InMemorySaver(), approve=True, shortlist_size=1)
    state = agent.invoke({"request": "a fox in watercolor"}, THREAD)
    assert PIXEL not in [one["id"] for one in state["shortlist"]["networks"]]
    state = answer(agent, {"type": "edit", "arguments": {"loras": [{"id": PIXEL, "weight": 1.0}]}})
    assert state["best"]["call"]["loras"] == [{"id": PIXEL, "weight": 1.0}]


def test_a_finished_thread_stays_as_it_is(agent: DiffAgentGraph, tmp_path: Path) -> None:
    agent.invoke(FOX, THREAD)
    state = answer(agent, {"type": "approve"})
    assert agent.invoke(None, THREAD)["best"] == state["best"]
    assert drawn(tmp_path) == 1
