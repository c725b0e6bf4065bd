from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from langchain_core.messages import AIMessage
from langchain_core.tools import BaseTool
from langchain_tests.integration_tests import ToolsIntegrationTests
from langchain_tests.unit_tests import ToolsUnitTests

from diffagent_tools.artifacts import ArtifactStore, read_call
from diffagent_tools.backends.protocol import Backend, Drawing, StepProgress
from diffagent_tools.chat_models.calling import calling
from diffagent_tools.planning import GUIDE
from diffagent_tools.toolkit import DiffAgentToolkit
from diffagent_tools.tools.generate_image import GenerateImageTool
from tests.diffagent_tools.conftest import WEIGHTS
from tests.diffagent_tools.tools.calls import acalled, called, tool_call, tool_named
from tests.graphs.paper_world import ScriptedPlanner
from tests.tool_specs.conftest import SpecMaker, make_spec
from tool_specs.calls import Call
from tool_specs.catalog import Catalog
from tool_specs.exceptions import ArtifactError, BackendError, DrawingCancelled
from tool_specs.rules import Rules
from tool_specs.search.embedder import Embedder
from tool_specs.search.shortlist import Shortlister

__all__ = ["make_spec"]

ANIMALS, PIXEL_ART, LINE_ART = "civitai:9001@9101", "civitai:9011@9111", "civitai:9012@9112"


@pytest.fixture
def tool(pocket_toolkit: DiffAgentToolkit) -> BaseTool:
    return tool_named(pocket_toolkit, "generate_image")


class Parts:
    """What LangChain's own suites ask about."""

    @pytest.fixture(autouse=True)
    def _parts(self, pocket_toolkit: DiffAgentToolkit) -> None:
        self._toolkit = pocket_toolkit

    @property
    def tool_constructor(self) -> type[BaseTool]:
        return GenerateImageTool

    @property
    def tool_constructor_params(self) -> dict[str, Any]:
        return {
            name: getattr(self._toolkit, name) for name in ("catalog", "shortlister", "planner", "backend", "store")
        }

    @property
    def tool_invoke_params_example(self) -> dict[str, Any]:
        return {"prompt": "a kitten, 8-bit", "steps": 2, "loras": [{"id": PIXEL_ART, "weight": 0.5}]}


class TestUnit(Parts, ToolsUnitTests):
    """LangChain's own suite of what a tool is."""


class TestIntegration(Parts, ToolsIntegrationTests):
    """LangChain's own suite of what a tool answers."""


def test_a_request_alone_is_enough(tool: BaseTool, pocket_toolkit: DiffAgentToolkit) -> None:
    message = called(tool, prompt="a kitten, 8-bit", steps=2, seed=3)
    assert message.status == "success", message.text
    told, result = json.loads(message.text), message.artifact
    assert (result["type"], told["image"]) == ("diffagent.image", result["image"]["sha256"])
    assert (told["model"], told["seed"], told["size"]) == (ANIMALS, 3, "64x64")
    call = result["call"]
    assert (call["checkpoint"], call["steps"], call["seed"]) == (ANIMALS, 2, 3)
    assert [lora["id"] for lora in call["loras"]] == [PIXEL_ART]
    assert "cat" in call["prompt"]
    assert "pixel art" in call["prompt"]
    recommended = pocket_toolkit.catalog.get(ANIMALS).recommended
    assert (call["sampler"], call["cfg_scale"]) == (recommended.sampler, recommended.cfg_scale.median)
    assert read_call(told["path"]).model_dump(mode="json") == call
    assert pocket_toolkit.store.open(result["image"]).size == (64, 64)
    assert json.loads(json.dumps(result)) == result


async def test_a_named_model_draws_the_very_call(tool: BaseTool) -> None:
    given: dict[str, Any] = {
        "negative_prompt": "grass", "sampler": "Euler", "steps": 2, "cfg_scale": 2.5, "width": 32, "height": 48,
        "clip_skip": 1, "seed": 9, "loras": [{"id": "9011"}, {"id": "civitai_9012_pocket_line_art", "weight": -0.5}],
    }  # fmt: skip
    message = await acalled(tool, prompt="a fox on a blue background", model="9001", **given)
    assert message.status == "success", message.text
    assert message.artifact["call"].items() >= {
        **given, "checkpoint": ANIMALS, "prompt": "a fox on a blue background",
        "loras": [{"id": PIXEL_ART, "weight": 1.0}, {"id": LINE_ART, "weight": -0.5}],
    }.items()  # fmt: skip


def test_the_same_seed_draws_the_same_picture_sync_and_async(tool: BaseTool) -> None:
    arguments = {"prompt": "a fox", "model": ANIMALS, "steps": 2, "seed": 5}
    one, other = called(tool, **arguments), asyncio.run(acalled(tool, **arguments))
    assert one.artifact["image"] == other.artifact["image"]
    assert called(tool, **{**arguments, "seed": 6}).artifact["image"] != one.artifact["image"]


def with_planner(toolkit: DiffAgentToolkit, *answers: AIMessage) -> tuple[BaseTool, ScriptedPlanner]:
    planner = ScriptedPlanner(answers=list(answers))
    parts = {name: getattr(toolkit, name) for name in ("catalog", "backend", "shortlister", "reward", "store")}
    return tool_named(DiffAgentToolkit(planner=planner, **parts), "generate_image"), planner


async def test_the_planner_writes_what_is_not_given(pocket_toolkit: DiffAgentToolkit) -> None:
    answer = calling(
        "civitai_9001_pocket_animals",
        {"prompt": "an owl", "steps": 50, "seed": 1, "loras": [{"id": PIXEL_ART, "weight": 0.3}]},
    )
    tool, planner = with_planner(pocket_toolkit, answer)
    call = (await acalled(tool, prompt="a bird at night", steps=2)).artifact["call"]
    assert (call["prompt"], call["steps"], call["seed"]) == ("an owl, pixel art", 2, 1)
    assert call["loras"] == [{"id": PIXEL_ART, "weight": 0.3}]
    assert [message.text for message in planner.seen[0]] == [GUIDE, "a bird at night"]
    assert "civitai_9001_pocket_animals" in planner.tools


def test_given_networks_replace_the_planners_and_bring_their_words(pocket_toolkit: DiffAgentToolkit) -> None:
    answer = calling("civitai_9001_pocket_animals", {"prompt": "an owl", "loras": [{"id": PIXEL_ART, "weight": 0.3}]})
    tool, _ = with_planner(pocket_toolkit, answer)
    call = called(tool, prompt="a bird", steps=2, loras=[{"id": "9012", "weight": 0.7}]).artifact["call"]
    assert call["loras"] == [{"id": LINE_ART, "weight": 0.7}]
    assert call["prompt"] == "an owl, line art"
    plain = called(tool, prompt="a bird", steps=2, loras=[]).artifact["call"]
    assert (plain["loras"], plain["prompt"]) == ([], "an owl")


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (AIMessage("I cannot draw people."), "I cannot draw people."),
        (AIMessage(""), "none of the models here can draw this"),
        (calling("civitai_1_nothing", {}), "there is no tool 'civitai_1_nothing'"),
        (calling("civitai_9001_pocket_animals", {"prompt": "an owl", "cfg_scale": 99}), "cfg_scale=99"),
    ],
)
def test_what_the_planner_does_wrong_is_told(pocket_toolkit: DiffAgentToolkit, answer: AIMessage, said: str) -> None:
    message = called(with_planner(pocket_toolkit, answer)[0], prompt="a person")
    assert message.status == "error"
    assert said in message.text


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"prompt": ""}, "prompt"),
        ({"prompt": "…"}, "holds no words"),
        ({"prompt": "quantum chromodynamics homework"}, "None of the models on offer"),
        ({"prompt": "a cat", "steps": 10**6}, "steps=1000000 is too large"),
        ({"prompt": "a cat", "seed": -1}, "seed=-1"),
        ({"prompt": "a cat", "size": "64x64"}, "size"),
        ({"prompt": "a cat", "loras": [{"id": "9001"}]}, "is a Checkpoint, not a network"),
        ({"prompt": "a cat", "loras": [{"id": "12"}]}, "holds no model '12'"),
        ({"prompt": "a cat", "loras": [{"id": "9011", "weight": 3}]}, "weight"),
        ({"prompt": "a cat", "model": "12"}, "holds no model '12'"),
        ({"prompt": "a cat", "model": "9011"}, "only a checkpoint draws"),
        ({"prompt": "a cat", "model": "9001", "width": 33}, "width=33 is not a multiple of 8"),
        ({"prompt": "a cat", "model": "9001", "sampler": "Best"}, "sampler='Best'"),
        ({"prompt": "a cat <lora:x:1>", "model": "9001"}, "name networks in loras"),
    ],
)
def test_a_wrong_call_is_told_in_one_line(tool: BaseTool, arguments: dict[str, object], said: str) -> None:
    message = called(tool, **arguments)
    assert message.status == "error"
    assert said in message.text
    assert "\n" not in message.text


def test_only_models_that_take_the_given_networks_are_offered(
    make_spec: SpecMaker, embedder: Embedder, tmp_path: Path
) -> None:
    catalog = Catalog(
        [
            make_spec(7, base_model="SD 1.5", name="Fox", tags=("fox",), files=(WEIGHTS,)),
            make_spec(8, base_model="SDXL 1.0", name="Foxes", tags=("fox",), files=(WEIGHTS,)),
            make_spec(9, "LORA", "SDXL 1.0", name="Wool", files=(WEIGHTS,)),
            make_spec(10, "LORA", "Flux.1 D", name="Clay", files=(WEIGHTS,)),
        ]
    )
    planner = ScriptedPlanner(answers=[AIMessage("no")])
    toolkit = DiffAgentToolkit(
        catalog=catalog, backend=PatientBackend(), planner=planner, shortlister=Shortlister(catalog, embedder),
        store=ArtifactStore(tmp_path),
    )  # fmt: skip
    tool = tool_named(toolkit, "generate_image")
    called(tool, prompt="a fox", loras=[{"id": "9"}])
    assert planner.tools == ["civitai_8_foxes"]
    message = called(tool, prompt="a fox", loras=[{"id": "10"}])
    assert message.status == "error"
    assert "Flux.1 D" in message.text


def test_what_the_rules_forbid_is_not_drawn_by_name(make_spec: SpecMaker, embedder: Embedder, tmp_path: Path) -> None:
    catalog = Catalog(
        [
            make_spec(7, name="Fox", content_rating="explicit", files=(WEIGHTS,)),
            make_spec(8, name="Owl", files=(WEIGHTS,)),
        ]
    )
    backend = PatientBackend(BackendError("asked to draw"))
    for ratings, said in ((("safe",), "its content is rated explicit"), (("safe", "explicit"), "asked to draw")):
        search = Shortlister(catalog, embedder, rules=Rules(ratings=ratings))  # type: ignore[arg-type]
        toolkit = DiffAgentToolkit(
            catalog=catalog, backend=backend, shortlister=search, store=ArtifactStore(tmp_path)
        )  # fmt: skip
        message = called(tool_named(toolkit, "generate_image"), prompt="a fox", model="7")
        assert message.status == "error"
        assert said in message.text


class PatientBackend(Backend):
    """Fails with whatever it is given, or waits to be stopped."""

    def __init__(self, error: Exception | None = None) -> None:
        self.error = error
        self.begun, self.stopped = threading.Event(), threading.Event()

    def draw(
        self,
        call: Call,
        *,
        on_step: Callable[[StepProgress], None] | None = None,
        cancel: threading.Event | None = None,
    ) -> Drawing:
        self.begun.set()
        if self.error is not None:
            raise self.error
        assert cancel is not None
        assert cancel.wait(10)
        self.stopped.set()
        msg = "stopped"
        raise DrawingCancelled(msg)


def over(pocket_toolkit: DiffAgentToolkit, backend: PatientBackend) -> BaseTool:
    parts = {name: getattr(pocket_toolkit, name) for name in ("catalog", "planner", "shortlister", "reward", "store")}
    return tool_named(DiffAgentToolkit(backend=backend, **parts), "generate_image")


async def test_a_cancelled_task_stops_the_drawing(pocket_toolkit: DiffAgentToolkit) -> None:
    backend = PatientBackend()
    tool = over(pocket_toolkit, backend)
    task = asyncio.create_task(tool.ainvoke(tool_call(tool, prompt="a cat", model="9001")))
    assert await asyncio.to_thread(backend.begun.wait, 10)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert await asyncio.to_thread(backend.stopped.wait, 5)


def test_a_fault_of_the_machine_is_told(pocket_toolkit: DiffAgentToolkit) -> None:
    message = called(over(pocket_toolkit, PatientBackend(BackendError("out of memory"))), prompt="a cat")
    assert (message.status, message.text) == ("error", "out of memory")


@pytest.mark.parametrize("error", [ArtifactError("disk full"), DrawingCancelled("stopped"), RuntimeError("a bug")])
def test_what_no_other_call_can_help_is_raised(pocket_toolkit: DiffAgentToolkit, error: Exception) -> None:
    with pytest.raises(type(error), match=str(error)):
        called(over(pocket_toolkit, PatientBackend(error)), prompt="a cat")
