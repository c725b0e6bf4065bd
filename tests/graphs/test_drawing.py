"""The agent over the real backend, with untrained weights in the real file formats."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest
from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.memory import InMemorySaver

from diffagent_tools.artifacts import ArtifactStore, read_call
from diffagent_tools.backends import DiffusersBackend
from graphs.agent import DiffAgentGraph, create_diffagent
from graphs.context import DiffAgentContext
from tests.graphs.paper_world import BrightnessReward, ScriptedPlanner, WordEmbedder, calling
from tests.tiny_world import Shelf, TinyWorld, build_tiny_world
from tool_specs.catalog import Catalog
from tool_specs.exceptions import DrawingCancelled
from tool_specs.search.shortlist import Shortlister

CHECKPOINT, OTHER, LORA, BROKEN = "civitai:1@101", "civitai:2@102", "civitai:3@103", "civitai:4@104"
FOX = {"request": "a fox", "options": {"max_attempts": 2, "force": True}}


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> TinyWorld:
    return build_tiny_world(tmp_path_factory.mktemp("world"))


def agent(folder: Path, world: TinyWorld, planner: ScriptedPlanner, **options: object) -> DiffAgentGraph:
    shelf = Shelf()
    shelf.put(1, "Checkpoint", world.checkpoints[0])
    shelf.put(2, "Checkpoint", world.checkpoints[1])
    shelf.put(3, "LORA", world.loras[0], trigger_words=("style",))
    broken = folder / "broken.safetensors"
    broken.write_bytes(world.checkpoints[0].read_bytes()[:1000])
    shelf.put(4, "Checkpoint", broken)
    catalog = Catalog(spec.model_copy(update={"tags": ("fox",)}) for spec in shelf.catalog)
    return create_diffagent(
        catalog=catalog,
        shortlister=Shortlister(catalog, WordEmbedder()),
        backend=DiffusersBackend(catalog, device="cpu", files=shelf.file_of, configs={"pocket": world.config}),
        reward=BrightnessReward(),
        store=ArtifactStore(folder / "artifacts"),
        planner=planner,
        threshold=0.0,
        **options,  # type: ignore[arg-type]
    )


def planner(*models: str, **changes: object) -> ScriptedPlanner:
    """Calls these models one after the other; their tools are named after their one digit."""
    tools = {model: f"civitai_{model[8]}_tiny_checkpoint_{model[8]}" for model in models}
    return ScriptedPlanner(answers=[calling(model, tool=tools[model], **changes) for model in models])


def test_a_picture_is_drawn_step_by_step_and_can_be_drawn_again(tmp_path: Path, world: TinyWorld) -> None:
    drawing = planner(CHECKPOINT, seed=7, loras=[{"id": LORA, "weight": 0.8}])
    graph = agent(tmp_path, world, drawing)
    events = list(graph.stream(FOX, stream_mode="custom"))
    assert [(event["step"], event["total"]) for event in events if event["event"] == "step"] == [
        (n, 4) for n in (1, 2, 3, 4)
    ]
    attempt = next(event for event in events if event["event"] == "attempt")
    assert attempt["verdict"] == "ok"
    assert read_call(attempt["reference"]["path"]).model_dump(mode="json") == attempt["call"]
    again = agent(tmp_path, world, drawing).invoke(FOX)
    assert again["best"]["reference"] == attempt["reference"]


def test_truncated_weights_are_a_fault_of_one_model(tmp_path: Path, world: TinyWorld) -> None:
    state = agent(tmp_path, world, planner(BROKEN, OTHER)).invoke(FOX)
    assert [attempt["verdict"] for attempt in state["attempts"]] == ["fault", "ok"]
    assert "broken.safetensors" in state["attempts"][0]["reason"]
    assert "\n" not in state["attempts"][0]["reason"]


def test_a_drawing_stops_between_steps_and_the_thread_goes_on(tmp_path: Path, world: TinyWorld) -> None:
    graph = agent(tmp_path, world, planner(CHECKPOINT), checkpointer=InMemorySaver())
    config: RunnableConfig = {"configurable": {"thread_id": "one"}}
    cancel, steps = threading.Event(), []

    def watch() -> None:
        for event in graph.stream(FOX, config, context=DiffAgentContext(cancel), stream_mode="custom"):
            if event["event"] == "step":
                steps.append(event["step"])
                cancel.set()

    with pytest.raises(DrawingCancelled):
        watch()
    assert len(steps) < 4
    assert graph.invoke(None, config)["outcome"]["status"] == "accepted"


async def test_async_draws_too(tmp_path: Path, world: TinyWorld) -> None:
    state = await agent(tmp_path, world, planner(CHECKPOINT)).ainvoke(FOX)
    assert state["outcome"]["status"] == "accepted"
