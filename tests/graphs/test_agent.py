from __future__ import annotations

import asyncio
import json
import threading
from pathlib import Path
from typing import Any, cast

import pytest
from langchain_core.messages import AIMessage, HumanMessage, ToolMessage, messages_to_dict
from langchain_core.outputs import ChatResult
from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.graph import START, MessagesState, StateGraph

from diffagent_tools.artifacts import ArtifactStore
from graphs.agent import create_diffagent
from graphs.context import DiffAgentContext
from graphs.state import DiffAgentInput, DiffAgentState, Options
from tests.graphs.paper_world import (
    ANIMALS,
    FOOD,
    BrightnessReward,
    PaperBackend,
    ScriptedPlanner,
    WordEmbedder,
    calling,
    paper_agent,
    spec_of,
)
from tool_specs.catalog import Catalog
from tool_specs.exceptions import ArtifactError, BackendError, ConfigError, DrawingCancelled, RequestError, WeightsError
from tool_specs.search.shortlist import Shortlister

FOX = {"request": "a fox on a blue background"}


@pytest.fixture
def backend(tmp_path: Path) -> PaperBackend:
    return PaperBackend(tmp_path / "drawn.log")


def planner(*answers: AIMessage) -> ScriptedPlanner:
    return ScriptedPlanner(answers=list(answers or (calling(ANIMALS),)))


def thread(name: str = "t") -> RunnableConfig:
    return {"configurable": {"thread_id": name}}


def test_a_good_picture_is_accepted_at_once(tmp_path: Path, backend: PaperBackend) -> None:
    state = paper_agent(tmp_path, backend, planner=planner()).invoke(FOX)
    assert state["outcome"]["status"] == "accepted"
    assert [attempt["verdict"] for attempt in state["attempts"]] == ["ok"]
    assert state["best"]["model"] == ANIMALS
    assert state["best"]["reward"] == pytest.approx(0.9, abs=0.02)
    assert state["best"]["scores"].keys() == {"brightness"}
    assert Path(state["best"]["reference"]["path"]).is_file()
    assert len(backend.drawn) == 1


def test_poor_pictures_are_tried_again_and_the_best_is_kept(tmp_path: Path, backend: PaperBackend) -> None:
    backend.levels = (0.2, 0.4, 0.1)
    state = paper_agent(tmp_path, backend, planner=planner()).invoke(FOX)
    assert state["outcome"]["status"] == "best_effort"
    assert [attempt["n"] for attempt in state["attempts"]] == [1, 2, 3]
    assert state["best"]["n"] == 2
    assert "best of 3" in state["outcome"]["reason"]


def test_the_planner_reads_what_became_of_each_attempt(tmp_path: Path, backend: PaperBackend) -> None:
    backend.levels = (0.2, 0.9)
    model = planner(calling(ANIMALS), calling(FOOD))
    state = paper_agent(tmp_path, backend, planner=model).invoke(FOX)
    assert [attempt["model"] for attempt in state["attempts"]] == [ANIMALS, FOOD]
    told = [message for message in model.seen[1] if isinstance(message, ToolMessage)]
    document = json.loads(told[0].text)
    assert document["attempt"] == 1
    assert document["verdict"] == "poor"
    assert document["reward"] == pytest.approx(0.2, abs=0.02)
    assert len(model.seen) == 2


def test_a_request_that_nothing_fits_draws_nothing(tmp_path: Path, backend: PaperBackend) -> None:
    state = paper_agent(tmp_path, backend).invoke({"request": "quarterly tax declaration"})
    assert state["outcome"]["status"] == "nothing_fits"
    assert len(state["outcome"]["nearest"]) >= 2
    assert state["attempts"] == []
    assert state["best"] is None
    assert backend.drawn == []
    assert "Nothing fits" in state["messages"][-1].text


def test_a_planner_may_know_better_than_retrieval(tmp_path: Path, backend: PaperBackend) -> None:
    state = paper_agent(tmp_path, backend, planner=planner()).invoke({"request": "quarterly tax declaration"})
    assert state["shortlist"]["fits"] is False
    assert state["outcome"]["status"] == "accepted"


def test_force_draws_although_nothing_fits(tmp_path: Path, backend: PaperBackend) -> None:
    asked = {"request": "quarterly tax declaration", "options": {"force": True}}
    state = paper_agent(tmp_path, backend, planner=planner()).invoke(asked)
    assert state["outcome"]["status"] == "accepted"


@pytest.mark.parametrize(("options", "choice"), [({}, None), ({"force": True}, "any"), ({"model": FOOD}, "any")])
def test_who_wants_a_picture_in_any_case_leaves_the_planner_no_way_out(
    tmp_path: Path, backend: PaperBackend, options: Options, choice: str | None
) -> None:
    model = planner(calling(FOOD))
    paper_agent(tmp_path, backend, planner=model).invoke({**FOX, "options": options})
    assert model.choice == choice
    assert len(model.tools) == (1 if "model" in options else 2)


def test_a_planner_that_declines_in_words_is_believed(tmp_path: Path, backend: PaperBackend) -> None:
    state = paper_agent(tmp_path, backend, planner=planner(AIMessage("None of these draws foxes."))).invoke(FOX)
    assert state["outcome"]["status"] == "nothing_fits"
    assert state["outcome"]["reason"] == "None of these draws foxes."


def test_a_planner_that_gives_up_later_leaves_the_best_so_far(tmp_path: Path, backend: PaperBackend) -> None:
    backend.levels = (0.3,)
    state = paper_agent(
        tmp_path, backend, planner=planner(calling(ANIMALS), AIMessage("I have no more ideas."))
    ).invoke(FOX)
    assert state["outcome"]["status"] == "best_effort"
    assert state["best"]["n"] == 1


def test_attempts_and_seconds_are_budgets(tmp_path: Path, backend: PaperBackend) -> None:
    backend.levels = (0.1,)
    agent = paper_agent(tmp_path, backend, planner=planner())
    state = agent.invoke({**FOX, "options": {"max_attempts": 5}})
    assert len(state["attempts"]) == 5
    backend.step_seconds = 0.05
    state = agent.invoke({**FOX, "options": {"max_attempts": 9, "max_seconds": 0.25}})
    assert 1 <= len(state["attempts"]) <= 2
    assert "used up" in state["outcome"]["reason"]


@pytest.mark.parametrize("fault", [BackendError("the scheduler raised"), WeightsError("truncated weights")])
def test_a_models_fault_is_a_failed_attempt_and_not_repeated(
    tmp_path: Path, backend: PaperBackend, fault: BackendError
) -> None:
    backend.faults = {1: lambda: fault}
    model = planner(calling(ANIMALS), calling(FOOD))
    state = paper_agent(tmp_path, backend, planner=model).invoke(FOX)
    assert [attempt["verdict"] for attempt in state["attempts"]] == ["fault", "ok"]
    assert str(fault) in state["attempts"][0]["reason"]
    assert str(fault) in model.seen[1][-1].text
    assert len(backend.drawn) == 2


@pytest.mark.parametrize("error", [ConnectionResetError("reset"), TimeoutError("too slow")])
def test_what_passes_is_drawn_again_within_the_same_attempt(
    tmp_path: Path, backend: PaperBackend, error: Exception, quick_retries: None
) -> None:
    backend.faults = {1: lambda: error}
    events = list(paper_agent(tmp_path, backend, planner=planner()).stream(FOX, stream_mode="custom"))
    assert [event["event"] for event in events].count("retry") == 1
    assert [event["attempt"] for event in events if event["event"] == "attempt"] == [1]
    assert len(backend.drawn) == 2


def test_what_does_not_pass_after_all_is_a_failed_attempt(
    tmp_path: Path, backend: PaperBackend, quick_retries: None
) -> None:
    backend.faults = {n: lambda: ConnectionError("refused") for n in (1, 2, 3)}
    state = paper_agent(tmp_path, backend, planner=planner()).invoke(FOX)
    assert [attempt["verdict"] for attempt in state["attempts"]] == ["fault", "ok"]
    assert len(backend.drawn) == 4


def out_of_memory() -> BackendError:
    try:
        raise MemoryError
    except MemoryError as cause:
        error = BackendError("out of memory while drawing")
        error.__cause__ = cause
        return error


def test_out_of_memory_is_tried_once_more(tmp_path: Path, backend: PaperBackend, quick_retries: None) -> None:
    backend.faults = dict.fromkeys((1, 2), out_of_memory)
    state = paper_agent(tmp_path, backend, planner=planner()).invoke(FOX)
    assert [attempt["verdict"] for attempt in state["attempts"]] == ["fault", "ok"]
    assert len(backend.drawn) == 3


@pytest.mark.parametrize("error", [ArtifactError("the disk is full"), ZeroDivisionError("a bug")])
def test_what_no_model_can_help_ends_the_run(tmp_path: Path, backend: PaperBackend, error: Exception) -> None:
    backend.faults = {1: lambda: error}
    with pytest.raises(type(error), match=str(error)):
        paper_agent(tmp_path, backend, planner=planner()).invoke(FOX)
    assert len(backend.drawn) == 1


def test_only_faults_fail_the_request(tmp_path: Path, backend: PaperBackend) -> None:
    backend.faults = {n: lambda: BackendError("broken pipeline") for n in (1, 2, 3)}
    state = paper_agent(tmp_path, backend, planner=planner()).invoke(FOX)
    assert state["outcome"]["status"] == "failed"
    assert "broken pipeline" in state["outcome"]["reason"]
    assert state["best"] is None


def test_a_black_picture_is_a_fault_and_never_the_best(tmp_path: Path, backend: PaperBackend) -> None:
    backend.levels = (-1.0, 0.3, -1.0)
    state = paper_agent(tmp_path, backend, planner=planner()).invoke(FOX)
    assert [attempt["verdict"] for attempt in state["attempts"]] == ["fault", "poor", "fault"]
    assert state["best"]["n"] == 2


def cut_off() -> AIMessage:
    return calling(ANIMALS).model_copy(update={"response_metadata": {"finish_reason": "length"}})


def unreadable() -> AIMessage:
    broken = {
        "name": "civitai_9001",
        "args": '{"prompt": "a',
        "id": "call_1",
        "error": None,
        "type": "invalid_tool_call",
    }
    return AIMessage("", invalid_tool_calls=[broken])


@pytest.mark.parametrize(
    ("answer", "told"),
    [
        (AIMessage("", tool_calls=[{"name": "nobody", "args": {}, "id": "call_1"}]), "there is no tool 'nobody'"),
        (calling(ANIMALS, steps=10**6), "steps"),
        (calling(ANIMALS, width=65), "width"),
        (calling(ANIMALS, loras=[{"id": "civitai:1@1", "weight": 1.0}]), "civitai:1@1"),
        (calling(ANIMALS, surprise=1), "surprise"),
        (cut_off(), "length limit"),
        (unreadable(), "not valid JSON"),
    ],
)
def test_an_invalid_call_is_not_drawn_but_told_to_the_planner(
    tmp_path: Path, backend: PaperBackend, answer: AIMessage, told: str
) -> None:
    model = planner(answer, calling(ANIMALS))
    state = paper_agent(tmp_path, backend, planner=model).invoke(FOX)
    assert told in state["attempts"][0]["reason"]
    assert told in model.seen[1][-1].text
    assert [attempt["verdict"] for attempt in state["attempts"]] == ["fault", "ok"]
    assert len(backend.drawn) == 1


def test_of_several_calls_the_first_is_drawn_and_every_call_has_its_answer(
    tmp_path: Path, backend: PaperBackend
) -> None:
    both = AIMessage("", tool_calls=[*calling(FOOD).tool_calls, *calling(ANIMALS).tool_calls])
    state = paper_agent(tmp_path, backend, planner=planner(both)).invoke(FOX)
    assert [attempt["model"] for attempt in state["attempts"]] == [FOOD]
    calls = [
        call["id"] for message in state["messages"] if isinstance(message, AIMessage) for call in message.tool_calls
    ]
    answers = [message.tool_call_id for message in state["messages"] if isinstance(message, ToolMessage)]
    assert calls == answers


@pytest.mark.parametrize("kind", ["tool_use", "function_call"])
def test_calls_among_the_blocks_of_an_answer_have_their_answers_too(
    tmp_path: Path, backend: PaperBackend, kind: str
) -> None:
    calls = [*calling(FOOD).tool_calls, *calling(ANIMALS).tool_calls]
    blocks = [{"type": kind, "id": call["id"], "call_id": call["id"], "name": call["name"]} for call in calls]
    backend.levels = (0.2, 0.9)
    model = planner(AIMessage([{"type": "text", "text": "both"}, *blocks], tool_calls=calls), calling(ANIMALS))
    paper_agent(tmp_path, backend, planner=model).invoke(FOX)
    said = next(message for message in model.seen[1] if isinstance(message, AIMessage))
    assert said.content == [{"type": "text", "text": "both"}]
    assert [call["id"] for call in said.tool_calls] == [calls[0]["id"]]


def test_a_size_that_no_planner_is_offered_can_be_fixed(tmp_path: Path, backend: PaperBackend) -> None:
    catalog = Catalog((spec_of("civitai:1@2", "Real Foxes", ("fox",), base_model="SD 1.5"),))
    agent = create_diffagent(
        catalog=catalog,
        shortlister=Shortlister(catalog, WordEmbedder()),
        backend=backend,
        reward=BrightnessReward(),
        store=ArtifactStore(tmp_path / "pictures"),
    )
    state = agent.invoke({"request": "a fox", "options": {"width": 600, "height": 800}})
    assert (state["best"]["call"]["width"], state["best"]["call"]["height"]) == (600, 800)


def test_no_networks_can_be_fixed(tmp_path: Path, backend: PaperBackend) -> None:
    request: DiffAgentInput = {"request": "a fox in pixel art"}
    assert paper_agent(tmp_path, backend).invoke(request)["best"]["call"]["loras"]
    request["options"] = {"loras": []}
    assert paper_agent(tmp_path, backend).invoke(request)["best"]["call"]["loras"] == []


def test_state_is_plain_json_and_holds_no_picture(tmp_path: Path, backend: PaperBackend) -> None:
    backend.levels = (0.2, 0.9)
    state = dict(paper_agent(tmp_path, backend, planner=planner()).invoke(FOX))
    messages = messages_to_dict(state.pop("messages"))
    text = json.dumps([state, messages])
    assert len(text) < 30_000
    assert json.loads(text)[0] == state


def test_events_tell_the_story_in_order(tmp_path: Path, backend: PaperBackend) -> None:
    events = list(paper_agent(tmp_path, backend, planner=planner()).stream(FOX, stream_mode="custom"))
    assert [event["event"] for event in events] == ["shortlist", "call", *["step"] * 4, "attempt", "outcome"]
    steps = [event for event in events if event["event"] == "step"]
    assert [(event["attempt"], event["step"], event["total"]) for event in steps] == [(1, n, 4) for n in (1, 2, 3, 4)]
    assert json.loads(json.dumps(events)) == events


def test_async_streams_the_same_events(tmp_path: Path, backend: PaperBackend) -> None:
    async def collect() -> list[dict[str, Any]]:
        agent = paper_agent(tmp_path, backend, planner=planner())
        return [event async for event in agent.astream(FOX, stream_mode="custom")]

    events = asyncio.run(collect())
    assert [event["event"] for event in events] == ["shortlist", "call", *["step"] * 4, "attempt", "outcome"]


def test_the_event_loop_goes_on_while_a_picture_is_drawn(tmp_path: Path, backend: PaperBackend) -> None:
    backend.step_seconds = 0.1

    async def longest_pause() -> float:
        agent = paper_agent(tmp_path, backend, planner=planner())
        loop = asyncio.get_running_loop()
        drawing = asyncio.ensure_future(agent.ainvoke(FOX))
        while not backend.drawn:  # noqa: ASYNC110 - a file is waited for
            await asyncio.sleep(0.01)
        pauses, last = [], loop.time()
        while not drawing.done():
            await asyncio.sleep(0.01)
            pauses.append(loop.time() - last)
            last = loop.time()
        return max(pauses)

    assert asyncio.run(longest_pause()) < 0.3


def test_cancelling_stops_between_steps_and_the_thread_goes_on_later(tmp_path: Path, backend: PaperBackend) -> None:
    backend.levels, backend.step_seconds = (0.2, 0.9), 0.05  # slow enough for the watcher to be asked first
    agent = paper_agent(tmp_path, backend, planner=planner(), checkpointer=InMemorySaver())
    cancel = threading.Event()

    def watch() -> None:
        for event in agent.stream(FOX, thread(), context=DiffAgentContext(cancel), stream_mode="custom"):
            if event["event"] == "step" and event["attempt"] == 2:
                cancel.set()

    with pytest.raises(DrawingCancelled):
        watch()
    held = agent.get_state(thread()).values
    assert [attempt["n"] for attempt in held["attempts"]] == [1]
    assert held["best"]["n"] == 1
    state = agent.invoke(None, thread())
    assert [attempt["n"] for attempt in state["attempts"]] == [1, 2]
    assert len(backend.drawn) == 3


def test_a_cancelled_task_stops_the_drawing_thread(tmp_path: Path, backend: PaperBackend) -> None:
    backend.step_seconds = 0.1

    async def run() -> None:
        task = asyncio.ensure_future(
            paper_agent(tmp_path, backend, planner=planner(calling(ANIMALS, steps=50))).ainvoke(FOX)
        )
        while not backend.drawn:  # noqa: ASYNC110 - a file is waited for
            await asyncio.sleep(0.01)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    before = threading.active_count()
    asyncio.run(asyncio.wait_for(run(), 5))
    assert threading.active_count() <= before + 1


def test_a_new_request_on_a_thread_starts_with_no_attempts(tmp_path: Path, backend: PaperBackend) -> None:
    agent = paper_agent(tmp_path, backend, planner=planner(), checkpointer=InMemorySaver())
    agent.invoke(FOX, thread())
    state = agent.invoke({"request": "a pizza"}, thread())
    assert state["request"] == "a pizza"
    assert len(state["attempts"]) == 1
    assert [m.text for m in state["messages"] if isinstance(m, HumanMessage)] == [FOX["request"], "a pizza"]


def test_a_request_given_up_half_way_leaves_no_open_call(tmp_path: Path, backend: PaperBackend) -> None:
    backend.faults = {1: lambda: ArtifactError("the disk is full")}
    agent = paper_agent(tmp_path, backend, planner=planner(), checkpointer=InMemorySaver())
    with pytest.raises(ArtifactError):
        agent.invoke(FOX, thread())
    state = agent.invoke({"messages": [HumanMessage("a pizza")]}, thread())
    calls = [
        call["id"] for message in state["messages"] if isinstance(message, AIMessage) for call in message.tool_calls
    ]
    assert len(calls) == 1
    assert state["request"] == "a pizza"


def test_a_new_request_counts_where_the_last_run_broke_off_before_an_answer(
    tmp_path: Path, backend: PaperBackend
) -> None:
    class Down(ScriptedPlanner):
        down: bool = True

        def _generate(self, *arguments: Any, **options: Any) -> ChatResult:
            if self.down:
                msg = "no server answers"
                raise ConfigError(msg)
            return super()._generate(*arguments, **options)

    model = Down(answers=[calling(FOOD), calling(ANIMALS)])
    agent = paper_agent(tmp_path, backend, planner=model, checkpointer=InMemorySaver())
    with pytest.raises(ConfigError):
        agent.invoke(FOX, thread())
    model.down = False
    state = agent.invoke({"request": "a pizza"}, thread())
    assert state["request"] == "a pizza"
    said = [message.text for message in state["messages"] if isinstance(message, HumanMessage)]
    assert said == [FOX["request"], "a pizza"]

    model.down = True
    with pytest.raises(ConfigError):
        agent.invoke({"request": "a cake"}, thread())
    model.down = False
    state = agent.invoke({"request": "a cake"}, thread())
    said = [message.text for message in state["messages"] if isinstance(message, HumanMessage)]
    assert said == [FOX["request"], "a pizza", "a cake"]


def test_it_answers_a_conversation_and_is_a_node_of_a_bigger_graph(tmp_path: Path, backend: PaperBackend) -> None:
    agent = paper_agent(tmp_path, backend, planner=planner())
    bigger = StateGraph(MessagesState)
    bigger.add_node("draw", agent)
    bigger.add_edge(START, "draw")
    graph = bigger.compile(checkpointer=InMemorySaver())
    parts = list(graph.stream({"messages": [HumanMessage("a fox")]}, thread(), stream_mode="custom", subgraphs=True))
    assert [event["event"] for _, event in parts][-1] == "outcome"
    last = graph.get_state(thread()).values["messages"][-1]
    assert isinstance(last, AIMessage)
    assert "Drawn with" in last.text


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"request": ""}, "empty"),
        ({"request": " \n\t"}, "empty"),
        ({"request": "x" * 2_001}, "2,001"),
        ({"messages": []}, "empty"),
        ({"request": "a fox", "options": {"max_attempts": 0}}, "max_attempts"),
        ({"request": "a fox", "options": {"speed": 1}}, "speed"),
    ],
)
def test_a_bad_request_is_refused_before_anything_is_done(
    tmp_path: Path, backend: PaperBackend, given: DiffAgentState, told: str
) -> None:
    with pytest.raises(RequestError, match=told):
        paper_agent(tmp_path, backend, planner=planner()).invoke(given)


def test_schemas_can_be_shown_by_a_server(tmp_path: Path, backend: PaperBackend) -> None:
    agent = paper_agent(tmp_path, backend, planner=planner())
    assert "request" in cast("dict[str, Any]", agent.get_input_jsonschema())["properties"]
    assert "best" in cast("dict[str, Any]", agent.get_output_jsonschema())["properties"]
    assert "cancel" in json.dumps(agent.get_context_jsonschema())
    assert "approve" in agent.get_graph().draw_mermaid()
