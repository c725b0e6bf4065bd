from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import pytest
from langchain_core.messages import AIMessage, ToolMessage
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.types import Command

from graphs.context import DiffAgentContext
from graphs.critics import PLANS, ChatCritic, Revision
from graphs.refine import DEFAULT_PICTURES, RefineGraph, create_refine
from tests.graphs.branch_backends import ScriptedWriter, paper_parts
from tests.graphs.paper_world import ANIMALS, PaperBackend, ScriptedPlanner, calling
from tool_specs.exceptions import BackendError, DrawingCancelled

THREAD: Any = {"configurable": {"thread_id": "t"}}
FOX: Any = {"request": "a fox"}
KEEP = {"prompt": None, "negative_prompt": None, "steps": None, "cfg_scale": None, "denoising_strength": None}


def refine(folder: Path, *levels: float, faults: Any = None, **options: Any) -> RefineGraph:
    backend = PaperBackend(folder / "drawn.log", levels=levels or (0.9,), faults=faults or {})
    return create_refine(**paper_parts(folder, backend), **options)


def drawn(folder: Path) -> int:
    return len(PaperBackend(folder / "drawn.log").drawn)


def test_a_draft_that_is_good_enough_is_the_end(tmp_path: Path) -> None:
    state = refine(tmp_path).invoke(FOX)
    assert (state["outcome"]["status"], len(state["attempts"]), state["revisions"]) == ("accepted", 1, [])


def test_each_attempt_begins_from_the_best_picture_so_far(tmp_path: Path) -> None:
    state = refine(tmp_path, 0.1, 0.3, 0.2, 0.9).invoke(FOX)
    first, second, third, fourth = (attempt["call"] for attempt in state["attempts"])
    pictures = [attempt["reference"]["sha256"] for attempt in state["attempts"]]
    assert "init_image" not in first
    assert (second["init_image"], second["denoising_strength"]) == (pictures[0], PLANS[0]["strength"])
    assert (third["init_image"], third["denoising_strength"]) == (pictures[1], PLANS[0]["strength"])
    # The third was worse than the second: the critic goes back to that one and changes more.
    assert (fourth["init_image"], fourth["denoising_strength"]) == (pictures[1], PLANS[1]["strength"])
    assert fourth["cfg_scale"] > second["cfg_scale"]
    assert (state["outcome"]["status"], state["best"]["n"]) == ("accepted", 4)
    assert [revision["denoising_strength"] for revision in state["revisions"]] == [0.6, 0.6, 0.8]


def test_it_ends_with_the_best_when_nothing_is_good_enough(tmp_path: Path) -> None:
    state = refine(tmp_path, 0.1, 0.3, 0.2).invoke(FOX)
    assert len(state["attempts"]) == DEFAULT_PICTURES
    assert (state["outcome"]["status"], state["best"]["n"]) == ("best_effort", 2)
    assert state["messages"][-1].text.startswith(f"Drawn with {ANIMALS} in attempt 2")


def test_options_bound_it_and_win_over_the_critic(tmp_path: Path) -> None:
    state = refine(tmp_path, 0.1).invoke({**FOX, "options": {"max_attempts": 3, "steps": 7, "seed": 5}})
    assert [(attempt["call"]["steps"], attempt["call"]["seed"]) for attempt in state["attempts"]] == [
        (7, 5),
        (7, 6),
        (7, 7),
    ]
    assert state["options"] == {"max_attempts": 3, "steps": 7, "seed": 5}


def test_a_faulty_draft_is_drawn_anew_from_nothing(tmp_path: Path) -> None:
    state = refine(tmp_path, 0.9, faults={1: lambda: BackendError("values that are not numbers")}).invoke(FOX)
    assert [attempt["verdict"] for attempt in state["attempts"]] == ["fault", "ok"]
    assert "init_image" not in state["attempts"][1]["call"]
    assert state["attempts"][1]["call"]["cfg_scale"] < 3
    assert "not numbers" in state["revisions"][0]["why"]


def test_the_same_fault_twice_is_the_end(tmp_path: Path) -> None:
    always = {n: lambda: BackendError("broken weights") for n in range(1, 9)}
    state = refine(tmp_path, faults=always).invoke(FOX)
    assert drawn(tmp_path) == 2
    assert state["outcome"]["status"] == "failed"
    assert "the critic has nothing more to try" in state["outcome"]["reason"]


def test_a_fault_in_between_does_not_lose_the_best(tmp_path: Path) -> None:
    state = refine(tmp_path, 0.3, faults={2: lambda: BackendError("no")}).invoke(
        {**FOX, "options": {"max_attempts": 2}}
    )
    assert (state["outcome"]["status"], state["best"]["n"]) == ("best_effort", 1)


def test_nothing_fits(tmp_path: Path) -> None:
    state = refine(tmp_path).invoke({"request": "quantum chromodynamics"})
    assert (state["outcome"]["status"], state["attempts"]) == ("nothing_fits", [])
    assert state["outcome"]["nearest"]


def test_a_chat_model_is_the_critic(tmp_path: Path) -> None:
    model = ScriptedWriter.saying(
        "Critique",
        {**KEEP, "done": False, "why": "too small", "prompt": "a big fox", "denoising_strength": 0.5},
        {**KEEP, "done": True, "why": "as good as it gets"},
    )
    parts = paper_parts(tmp_path, None)
    graph = refine(tmp_path, 0.1, 0.3, critic=ChatCritic(model, store=parts["store"]))
    state = graph.invoke(FOX)
    second = state["attempts"][1]["call"]
    assert (second["prompt"], second["denoising_strength"]) == ("a big fox", 0.5)
    assert state["outcome"]["reason"] == "the critic has nothing more to try; this is the best of 2"
    question = model.seen[1][-1]
    assert '"prompt": "a big fox"' in question.text
    assert [block["type"] for block in question.content_blocks] == ["text", "image"]


def test_what_the_critic_gets_wrong_is_an_attempt_that_says_so(tmp_path: Path) -> None:
    wrong = {**KEEP, "done": False, "why": "x", "steps": 10**6}
    model = ScriptedWriter.saying("Critique", wrong, {**KEEP, "done": False, "why": "y", "denoising_strength": 7})
    state = refine(tmp_path, 0.3, critic=ChatCritic(model)).invoke({**FOX, "options": {"max_attempts": 3}})
    assert drawn(tmp_path) == 1
    assert "steps=1000000 is too large" in state["attempts"][1]["reason"]
    assert "denoising_strength=7" in state["attempts"][2]["reason"]
    assert "steps=1000000 is too large" in model.seen[1][-1].text


def test_a_chat_model_that_writes_no_critique_is_replaced_by_the_rules(tmp_path: Path) -> None:
    critic = ChatCritic(ScriptedWriter.saying("Critique", {"done": "perhaps"}))
    state = refine(tmp_path, 0.1, critic=critic).invoke({**FOX, "options": {"max_attempts": 2}})
    assert state["revisions"][0]["denoising_strength"] == PLANS[0]["strength"]


def test_events_tell_one_story(tmp_path: Path) -> None:
    events = list(refine(tmp_path, 0.1, 0.9).stream(FOX, stream_mode="custom"))
    kinds = [event["event"] for event in events if event["event"] != "step"]
    assert kinds == ["shortlist", "call", "attempt", "critique", "call", "attempt", "outcome"]
    critique = next(event for event in events if event["event"] == "critique")
    assert (critique["attempt"], critique["base"], critique["denoising_strength"]) == (2, 1, 0.6)
    assert {event["attempt"] for event in events if event["event"] == "step"} == {1, 2}


def test_a_stopped_refinement_goes_on_where_it_was(tmp_path: Path) -> None:
    graph = refine(tmp_path, 0.1, 0.2, 0.9, checkpointer=InMemorySaver())
    cancel = threading.Event()
    events = graph.stream(FOX, THREAD, context=DiffAgentContext(cancel=cancel), stream_mode="custom")
    next(event for event in events if event["event"] == "critique")
    cancel.set()
    with pytest.raises(DrawingCancelled):
        list(events)
    assert drawn(tmp_path) == 1
    state = graph.invoke(None, THREAD)
    assert [attempt["n"] for attempt in state["attempts"]] == [1, 2, 3]
    assert drawn(tmp_path) == 3


def test_a_person_approves_the_draft_and_edits_what_follows(tmp_path: Path) -> None:
    model = ScriptedPlanner(answers=[calling(ANIMALS)])
    graph = refine(tmp_path, 0.1, 0.9, planner=model, approve=True, checkpointer=InMemorySaver())
    assert graph.invoke(FOX, THREAD)["__interrupt__"][0].value["attempt"] == 1
    second = graph.invoke(Command(resume={"type": "approve"}), THREAD)["__interrupt__"][0].value
    assert (second["attempt"], drawn(tmp_path)) == (2, 1)
    edit = {"type": "edit", "arguments": {"prompt": "a red fox"}}
    state: Any = graph.invoke(Command(resume=edit), THREAD)
    call = state["best"]["call"]
    assert (call["prompt"], call["denoising_strength"]) == ("a red fox", 0.6)
    assert call["init_image"] == state["attempts"][0]["reference"]["sha256"]


def test_a_revision_that_was_given_up_leaves_no_open_call(tmp_path: Path) -> None:
    model = ScriptedPlanner(answers=[calling(ANIMALS)])
    graph = refine(tmp_path, 0.1, planner=model, approve=True, checkpointer=InMemorySaver())
    graph.invoke(FOX, THREAD)
    graph.invoke(Command(resume={"type": "approve"}), THREAD)
    state: Any = graph.invoke({"request": "a cat", "options": {"max_attempts": 1}}, THREAD)
    state = graph.invoke(Command(resume={"type": "approve"}), THREAD)
    assert state["request"] == "a cat"
    answered = {message.tool_call_id for message in state["messages"] if isinstance(message, ToolMessage)}
    calls = [call["id"] for one in state["messages"] if isinstance(one, AIMessage) for call in one.tool_calls]
    assert len(calls) == 2
    assert set(calls) <= answered


async def test_it_runs_async_and_with_a_critic_of_ones_own(tmp_path: Path) -> None:
    class Anew:
        def revise(self, request: str, attempts: Any, best: Any) -> Revision:
            return {"changes": {"prompt": f"{request}, attempt {len(attempts) + 1}"}, "denoising_strength": None,
                    "why": "again"}  # fmt: skip

    state = await refine(tmp_path, 0.1, 0.9, critic=Anew()).ainvoke(FOX)
    assert state["best"]["call"]["prompt"] == "a fox, attempt 2"
