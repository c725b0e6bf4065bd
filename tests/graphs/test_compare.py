from __future__ import annotations

import json
import threading
from pathlib import Path
from typing import Any

import pytest
from langchain_core.messages import AIMessage, HumanMessage
from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.checkpoint.sqlite import SqliteSaver
from langgraph.graph import START, MessagesState, StateGraph
from PIL import Image

from diffagent_tools.artifacts import SHEET_KEY
from graphs.compare import CompareGraph, create_compare
from graphs.context import DiffAgentContext
from tests.graphs.branch_backends import ModelBackend, paper_parts
from tests.graphs.paper_world import ANIMALS, FOOD, PaperBackend
from tool_specs.calls import Call
from tool_specs.exceptions import BackendError, DrawingCancelled

THREAD: RunnableConfig = {"configurable": {"thread_id": "t"}}


@pytest.fixture
def backend(tmp_path: Path) -> ModelBackend:
    """The second model of the list draws the brighter, that is better, pictures."""
    return ModelBackend(
        {
            ANIMALS: PaperBackend(tmp_path / "animals.log", levels=(0.3,)),
            FOOD: PaperBackend(tmp_path / "food.log", levels=(0.8,)),
        }
    )


def compare(folder: Path, backend: ModelBackend, **options: Any) -> CompareGraph:
    return create_compare(**paper_parts(folder, backend), **options)


def test_every_model_draws_once_from_one_seed_and_the_best_is_first(tmp_path: Path, backend: ModelBackend) -> None:
    state = compare(tmp_path, backend).invoke({"request": "a fox"})
    assert [model["id"] for model in state["models"]] == [ANIMALS, FOOD]
    assert [one["model"]["id"] for one in state["ranking"]] == [FOOD, ANIMALS]
    assert [round(one["reward"], 1) for one in state["ranking"]] == [0.8, 0.3]
    assert {call.seed for call in backend.calls} == {state["seed"]}
    assert len(backend.calls) == 2
    assert state["outcome"]["status"] == "best_effort"
    assert "Paper Food is best with reward 0.80" in state["messages"][-1].text


def test_the_sheet_shows_every_picture_with_its_caption(tmp_path: Path, backend: ModelBackend) -> None:
    state = compare(tmp_path, backend).invoke({"request": "a fox"})
    with Image.open(state["sheet"]["path"]) as sheet:
        cells = json.loads(sheet.info[SHEET_KEY])
        assert sheet.size == (state["sheet"]["width"], state["sheet"]["height"])
        # The brightness of the first picture's middle is that of the better model.
        assert sheet.convert("L").getpixel((140, 140)) == pytest.approx(0.8 * 255, abs=30)
        assert sheet.convert("L").getpixel((400, 140)) == pytest.approx(0.3 * 255, abs=30)
    assert [cell["title"] for cell in cells] == ["1. Paper Food", "2. Paper Animals"]
    assert cells[0]["text"].startswith("reward 0.80")
    assert cells[0]["image"] == state["ranking"][0]["best"]["reference"]["sha256"]


def test_a_fault_of_one_model_does_not_lose_the_others(tmp_path: Path, backend: ModelBackend) -> None:
    backend.fault = lambda call: BackendError("no memory") if call.checkpoint == FOOD else None
    state = compare(tmp_path, backend).invoke({"request": "a fox"})
    assert [one["model"]["id"] for one in state["ranking"]] == [ANIMALS, FOOD]
    assert state["ranking"][1]["reward"] is None
    assert "no memory" in state["ranking"][1]["outcome"]["reason"]
    assert "1 of 2 models drew" in state["outcome"]["reason"]


def test_a_fault_that_nobody_foresaw_does_not_either(tmp_path: Path, backend: ModelBackend) -> None:
    backend.fault = lambda call: ZeroDivisionError("oops") if call.checkpoint == ANIMALS else None
    events = list(compare(tmp_path, backend).stream({"request": "a fox"}, stream_mode="custom"))
    failed = next(event for event in events if event["event"] == "outcome" and event["branch"] == ANIMALS)
    assert (failed["status"], failed["best"]) == ("failed", None)
    assert events[-1]["ranking"][0] == {"model": FOOD, "reward": pytest.approx(0.8, abs=0.01)}


def test_when_nothing_can_be_drawn_it_says_why(tmp_path: Path, backend: ModelBackend) -> None:
    backend.fault = lambda call: BackendError("no memory")
    state = compare(tmp_path, backend).invoke({"request": "a fox"})
    assert (state["outcome"]["status"], state["sheet"]) == ("failed", None)
    assert "no memory" in state["outcome"]["reason"]


def test_nothing_fits(tmp_path: Path, backend: ModelBackend) -> None:
    state = compare(tmp_path, backend).invoke({"request": "quantum chromodynamics"})
    assert state["outcome"]["status"] == "nothing_fits"
    assert [one["id"] for one in state["outcome"]["nearest"]]
    assert backend.calls == []


def test_events_say_which_model_they_are_about(tmp_path: Path, backend: ModelBackend) -> None:
    events = list(compare(tmp_path, backend).stream({"request": "a fox"}, stream_mode="custom"))
    of_branches = [event for event in events if "branch" in event]
    assert {event["branch"] for event in of_branches} == {ANIMALS, FOOD}
    for model in (ANIMALS, FOOD):
        kinds = [event["event"] for event in of_branches if event["branch"] == model]
        assert kinds == ["shortlist", "call", *["step"] * 4, "attempt", "outcome"]
    assert [event["event"] for event in events if "branch" not in event] == ["shortlist", "models", "comparison"]


def test_options_hold_for_every_model(tmp_path: Path, backend: ModelBackend) -> None:
    compare(tmp_path, backend).invoke({"request": "a fox", "options": {"seed": 7, "steps": 6, "max_attempts": 2}})
    drawn = sorted((call.checkpoint, call.seed, call.steps) for call in backend.calls)
    # The brighter model is accepted at once; the other one may try twice.
    assert drawn == [(ANIMALS, 7, 6), (ANIMALS, 8, 6), (FOOD, 7, 6)]


def test_at_most_as_many_models_as_were_asked_for(tmp_path: Path, backend: ModelBackend) -> None:
    state = compare(tmp_path, backend, models=1).invoke({"request": "a pizza"})
    assert [one["model"]["id"] for one in state["ranking"]] == [FOOD]


def test_a_stopped_comparison_goes_on_without_drawing_finished_models_again(
    tmp_path: Path, backend: ModelBackend
) -> None:
    backend.models[ANIMALS].step_seconds = 0.3
    threads, cancel = str(tmp_path / "threads.sqlite"), threading.Event()
    with SqliteSaver.from_conn_string(threads) as saver:
        events = compare(tmp_path, backend, checkpointer=saver).stream(
            {"request": "a fox"}, THREAD, context=DiffAgentContext(cancel=cancel), stream_mode="custom"
        )
        next(event for event in events if event["event"] == "outcome" and event["branch"] == FOOD)
        cancel.set()
        with pytest.raises(DrawingCancelled):
            list(events)
    backend.models[ANIMALS].step_seconds = 0.0
    with SqliteSaver.from_conn_string(threads) as saver:
        state = compare(tmp_path, backend, checkpointer=saver).invoke(None, THREAD)
    assert [one["model"]["id"] for one in state["ranking"]] == [FOOD, ANIMALS]
    drawn: list[Call] = [call for call in backend.calls if call.checkpoint == FOOD]
    assert len(drawn) == 1


def test_the_next_request_on_a_thread_starts_anew(tmp_path: Path, backend: ModelBackend) -> None:
    graph = compare(tmp_path, backend, checkpointer=InMemorySaver())
    graph.invoke({"request": "a fox"}, THREAD)
    state = graph.invoke({"request": "a pizza"}, THREAD)
    assert len(state["ranking"]) == len(state["finished"]) == 2
    assert state["models"][0]["id"] == FOOD


def test_a_stopped_branch_goes_on_behind_its_finished_attempts(tmp_path: Path, backend: ModelBackend) -> None:
    graph = compare(tmp_path, backend, models=1, checkpointer=InMemorySaver())
    cancel = threading.Event()
    given = {"request": "a fox", "options": {"max_attempts": 3}}
    events = graph.stream(given, THREAD, context=DiffAgentContext(cancel=cancel), stream_mode="custom")
    next(event for event in events if event["event"] == "attempt" and event["n"] == 2)
    cancel.set()
    with pytest.raises(DrawingCancelled):
        list(events)
    state = graph.invoke(None, THREAD)
    assert [attempt["n"] for attempt in state["ranking"][0]["attempts"]] == [1, 2, 3]
    assert len({call.seed for call in backend.calls}) == 3
    assert len(backend.models[ANIMALS].drawn) <= 4


def test_it_is_a_node_of_a_bigger_graph_that_knows_only_messages(tmp_path: Path, backend: ModelBackend) -> None:
    builder = StateGraph(MessagesState)
    builder.add_node("compare", compare(tmp_path, backend))
    builder.add_edge(START, "compare")
    graph = builder.compile(checkpointer=InMemorySaver())
    state = graph.invoke({"messages": [HumanMessage("a fox")]}, THREAD)
    assert isinstance(state["messages"][-1], AIMessage)
    assert "Paper Food is best" in state["messages"][-1].text


async def test_it_runs_async(tmp_path: Path, backend: ModelBackend) -> None:
    state = await compare(tmp_path, backend).ainvoke({"request": "a fox"})
    assert [one["model"]["id"] for one in state["ranking"]] == [FOOD, ANIMALS]
