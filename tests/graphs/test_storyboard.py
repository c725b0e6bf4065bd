from __future__ import annotations

import json
import threading
from pathlib import Path
from typing import Any

import pytest
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.graph import START, MessagesState, StateGraph
from PIL import Image

from diffagent_tools.artifacts import SHEET_KEY
from graphs.casting import cast
from graphs.context import DiffAgentContext
from graphs.shots import ChatShotWriter
from graphs.state import Candidate
from graphs.storyboard import SEEDS_PER_SHOT, StoryboardGraph, create_storyboard
from tests.graphs.branch_backends import ModelBackend, ScriptedWriter, paper_parts
from tests.graphs.paper_world import ANIMALS, CATALOG, FOOD, OLD_STYLE, PIXEL, WATERCOLOR, PaperBackend
from tool_specs.exceptions import BackendError, DrawingCancelled, RequestError

STORY = "A fox. A cat. A dog. Style: watercolor."
THREAD: Any = {"configurable": {"thread_id": "t"}}


@pytest.fixture
def backend(tmp_path: Path) -> ModelBackend:
    return ModelBackend({model: PaperBackend(tmp_path / f"{n}.log") for n, model in enumerate((ANIMALS, FOOD))})


def storyboard(folder: Path, backend: ModelBackend, **options: Any) -> StoryboardGraph:
    return create_storyboard(**paper_parts(folder, backend), **options)


def test_all_shots_have_one_checkpoint_one_lora_and_seeds_of_one_family(tmp_path: Path, backend: ModelBackend) -> None:
    state = storyboard(tmp_path, backend).invoke({"request": STORY, "options": {"seed": 100}})
    assert [panel["shot"]["text"] for panel in state["panels"]] == ["A fox.", "A cat.", "A dog."]
    calls = [panel["best"]["call"] for panel in state["panels"]]
    assert {call["checkpoint"] for call in calls} == {ANIMALS}
    assert [[use["id"] for use in call["loras"]] for call in calls] == [[WATERCOLOR]] * 3
    assert [call["seed"] for call in calls] == [100, 100 + SEEDS_PER_SHOT, 100 + 2 * SEEDS_PER_SHOT]
    assert all("watercolor" in call["prompt"] for call in calls)
    assert state["outcome"] == {"status": "accepted", "reason": "3 of 3 shots are drawn", "nearest": []}


def test_no_networks_can_be_fixed(tmp_path: Path, backend: ModelBackend) -> None:
    state = storyboard(tmp_path, backend).invoke({"request": STORY, "options": {"loras": []}})
    assert [panel["best"]["call"]["loras"] for panel in state["panels"]] == [[]] * 3


def test_a_new_story_counts_where_the_last_was_stopped(tmp_path: Path, backend: ModelBackend) -> None:
    graph, cancel = storyboard(tmp_path, backend, checkpointer=InMemorySaver()), threading.Event()
    first = graph.stream({"request": STORY}, THREAD, context=DiffAgentContext(cancel=cancel), stream_mode="updates")
    assert "split" in next(first)
    cancel.set()
    with pytest.raises(DrawingCancelled):
        list(first)
    state = graph.invoke({"request": "A pizza. A cake."}, THREAD)
    assert [panel["shot"]["text"] for panel in state["panels"]] == ["A pizza.", "A cake."]


def test_where_no_model_can_draw_all_as_few_as_possible_do(tmp_path: Path, backend: ModelBackend) -> None:
    state = storyboard(tmp_path, backend).invoke({"request": "A fox. A pizza. A cat. A dog."})
    assert [panel["best"]["call"]["checkpoint"] for panel in state["panels"]] == [ANIMALS, FOOD, ANIMALS, ANIMALS]


def candidate(model: str, score: float) -> Candidate:
    spec = CATALOG.get(model)
    return {"id": model, "name": spec.model_name, "tool": spec.tool_name, "type": spec.type, "family": spec.family,
            "score": score, "why": [], "matched": True}  # fmt: skip


def test_one_model_for_all_shots_beats_a_better_one_for_some() -> None:
    animals, food = candidate(ANIMALS, 0.5), candidate(FOOD, 0.9)
    assert cast([[animals, food], [animals], [food, animals]], [], CATALOG) == [ANIMALS] * 3
    assert cast([[animals], [], [food]], [], CATALOG) == [ANIMALS, None, FOOD]
    assert cast([[animals, food]], [CATALOG.get(PIXEL), CATALOG.get(OLD_STYLE)], CATALOG) == [FOOD]


def test_each_shot_is_tried_again_by_itself(tmp_path: Path, backend: ModelBackend) -> None:
    backend.models[FOOD].levels = (0.2, 0.9)
    state = storyboard(tmp_path, backend).invoke({"request": "A fox. A pizza.", "options": {"seed": 1}})
    fox, pizza = state["panels"]
    assert [len(fox["attempts"]), len(pizza["attempts"])] == [1, 2]
    assert [attempt["call"]["seed"] for attempt in pizza["attempts"]] == [33, 34]
    assert pizza["best"]["n"] == 2


def test_a_shot_that_fails_or_that_nothing_can_draw_does_not_lose_the_others(
    tmp_path: Path, backend: ModelBackend
) -> None:
    backend.fault = lambda call: BackendError("no memory") if call.checkpoint == FOOD else None
    state = storyboard(tmp_path, backend).invoke({"request": "A fox. A pizza. Quantum chromodynamics."})
    assert [panel["outcome"]["status"] for panel in state["panels"]] == ["accepted", "failed", "nothing_fits"]
    assert state["outcome"]["status"] == "best_effort"
    with Image.open(state["sheet"]["path"]) as sheet:
        cells = json.loads(sheet.info[SHEET_KEY])
    assert [cell["image"] is not None for cell in cells] == [True, False, False]
    assert "no memory" in cells[1]["text"]


def test_a_person_may_fix_model_and_lora(tmp_path: Path, backend: ModelBackend) -> None:
    options = {"model": FOOD, "loras": [{"id": PIXEL, "weight": 0.5}]}
    state = storyboard(tmp_path, backend).invoke({"request": STORY, "options": options})
    calls = [panel["best"]["call"] for panel in state["panels"]]
    assert {call["checkpoint"] for call in calls} == {FOOD}
    assert [call["loras"] for call in calls] == [[{"id": PIXEL, "weight": 0.5}]] * 3


def test_a_chat_model_is_asked_once_even_when_the_run_is_resumed(tmp_path: Path, backend: ModelBackend) -> None:
    model = ScriptedWriter.saying("Storyboard", {"style": "pixel art", "shots": ["a fox", "a cat"]})
    graph = storyboard(tmp_path, backend, writer=ChatShotWriter(model), checkpointer=InMemorySaver())
    graph.invoke({"request": "Once upon a time."}, THREAD, interrupt_before=["shoot"])
    assert backend.calls == []
    state = graph.invoke(None, THREAD)
    assert len(model.seen) == 1
    assert [panel["best"]["call"]["loras"][0]["id"] for panel in state["panels"]] == [PIXEL, PIXEL]
    assert graph.invoke(None, THREAD)["panels"] == state["panels"]


def test_events_say_which_shot_they_are_about(tmp_path: Path, backend: ModelBackend) -> None:
    events = list(storyboard(tmp_path, backend).stream({"request": "A fox. A cat."}, stream_mode="custom"))
    assert {event["branch"] for event in events if "branch" in event} == {"1", "2"}
    assert [event["event"] for event in events if "branch" not in event] == ["shots", "cast", "storyboard"]
    assert events[-1]["shots"] == [{"n": 1, "status": "accepted"}, {"n": 2, "status": "accepted"}]


def test_what_cannot_be_used_is_refused_at_once(tmp_path: Path, backend: ModelBackend) -> None:
    with pytest.raises(RequestError, match="the story"):
        storyboard(tmp_path, backend).invoke({"request": "..."})
    with pytest.raises(RequestError, match="steps"):
        storyboard(tmp_path, backend).invoke({"request": STORY, "options": {"steps": 10**6}})
    assert backend.calls == []


async def test_it_is_a_node_of_a_bigger_graph_and_runs_async(tmp_path: Path, backend: ModelBackend) -> None:
    builder = StateGraph(MessagesState)
    builder.add_node("storyboard", storyboard(tmp_path, backend))
    builder.add_edge(START, "storyboard")
    state = await builder.compile().ainvoke({"messages": [("user", STORY)]})
    assert "3 of 3 shots are drawn" in state["messages"][-1].text
