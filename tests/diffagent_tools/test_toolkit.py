from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from langchain.agents import create_agent
from langchain_core.messages import AIMessage, ToolMessage
from langchain_core.runnables import RunnableConfig
from langchain_core.utils.function_calling import convert_to_openai_tool
from langgraph.checkpoint.sqlite import SqliteSaver
from pydantic import ValidationError

from diffagent_tools.artifacts import ArtifactStore
from diffagent_tools.backends.diffusers_backend import DiffusersBackend
from diffagent_tools.chat_models.calling import calling
from diffagent_tools.chat_models.local import LocalChatDiffAgent
from diffagent_tools.chat_models.retrieval import RetrievalChatModel
from diffagent_tools.rewards.unified import UnifiedReward
from diffagent_tools.toolkit import DiffAgentToolkit
from diffagent_tools.tools.results import is_image
from tests.diffagent_tools.tools.calls import called, tool_named
from tests.graphs.paper_world import PaperBackend, ScriptedPlanner
from tests.stored_models import furnish
from tool_specs.exceptions import RequestError
from tool_specs.search.ranked import RankedShortlister
from tool_specs.search.shortlist import Shortlister
from tool_specs.store.catalog import StoredCatalog
from tool_specs.store.database import CatalogDatabase

ROOT = Path(__file__).parents[2]
ANIMALS = "civitai_9001_pocket_animals"
ARGUMENTS = {
    "prompt": "a cat", "negative_prompt": "", "sampler": "Euler", "steps": 2, "cfg_scale": 2.0, "width": 64,
    "height": 64, "clip_skip": 1, "seed": 1,
}  # fmt: skip


def test_four_tools_reach_every_model(pocket_toolkit: DiffAgentToolkit) -> None:
    tools = pocket_toolkit.get_tools()
    assert [tool.name for tool in tools] == ["search_models", "describe_model", "generate_image", "score_image"]
    described = [convert_to_openai_tool(tool) for tool in tools]
    assert all(tool["function"]["parameters"]["properties"] for tool in described)
    assert len(json.dumps(described)) < 6000


def test_the_tools_work_hand_in_hand(pocket_toolkit: DiffAgentToolkit) -> None:
    found = called(tool_named(pocket_toolkit, "search_models"), query="an owl", type="Checkpoint")
    model = json.loads(found.text)["models"][0]["id"]
    described = json.loads(called(tool_named(pocket_toolkit, "describe_model"), model=model).text)
    drawn = called(
        tool_named(pocket_toolkit, "generate_image"),
        prompt="an owl on a blue background", model=described["id"], seed=1, steps=described["recommended"]["steps"],
    )  # fmt: skip
    scores = [
        json.loads(called(tool_named(pocket_toolkit, "score_image"), image=image, prompt=prompt).text)["reward"]
        for image in [json.loads(drawn.text)["image"]]
        for prompt in ("an owl on a blue background", "a bicycle on a red background")
    ]
    assert scores[0] > scores[1]


def test_typed_tools_of_a_request(pocket_toolkit: DiffAgentToolkit) -> None:
    tools = pocket_toolkit.tools_for("a kitten, 8-bit", k=2)
    assert tools[0].name == ANIMALS
    assert len(tools) == 2
    assert len(pocket_toolkit.tools_for("a kitten, 8-bit")) == 4
    loras = convert_to_openai_tool(tools[0])["function"]["parameters"]["properties"]["loras"]
    assert loras["items"]["properties"]["id"]["enum"][0] == "civitai:9011@9111"
    with pytest.raises(RequestError, match="at least 1"):
        pocket_toolkit.tools_for("a kitten", k=0)


def test_the_tools_of_a_shortlist_draw(pocket_toolkit: DiffAgentToolkit) -> None:
    (tool,) = pocket_toolkit.tools_of(pocket_toolkit.shortlister.shortlist("a kitten, 8-bit", 1))
    message = called(tool, **ARGUMENTS, loras=[{"id": "civitai:9011@9111", "weight": 1.0}])
    assert pocket_toolkit.store.open(message.artifact["image"]).size == (64, 64)
    assert message.artifact["call"]["checkpoint"] == "civitai:9001@9101"


def test_the_parts_have_defaults(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DIFFAGENT_HOME", str(tmp_path))
    toolkit = DiffAgentToolkit.pocket()
    assert isinstance(toolkit.backend, DiffusersBackend)
    assert isinstance(toolkit.planner, LocalChatDiffAgent)
    assert isinstance(toolkit.shortlister, Shortlister)
    assert isinstance(toolkit.reward, UnifiedReward)
    assert toolkit.store.folder == tmp_path / "artifacts"
    bare = DiffAgentToolkit(catalog=toolkit.catalog, backend=toolkit.backend)
    assert isinstance(bare.planner, RetrievalChatModel)
    assert bare.planner.shortlister is bare.shortlister
    assert not list(tmp_path.iterdir())


def test_a_catalog_on_disk_is_searched_by_its_index(tmp_path: Path, pocket_toolkit: DiffAgentToolkit) -> None:
    furnish(tmp_path)
    with CatalogDatabase.open(tmp_path, read_only=True) as database:
        toolkit = DiffAgentToolkit(catalog=StoredCatalog(database), backend=pocket_toolkit.backend)
        assert isinstance(toolkit.shortlister, RankedShortlister)
        assert toolkit.tools_for("a castle on a hill", k=1)[0].name == "civitai_1_fortress"
        found = called(tool_named(toolkit, "search_models"), query="a knitted wool fox", type="LORA", k=1)
        assert [one["id"] for one in found.artifact["models"]] == ["civitai:12@121"]


def test_a_part_of_the_wrong_kind_is_refused(pocket_toolkit: DiffAgentToolkit) -> None:
    with pytest.raises(ValidationError, match="backend"):
        DiffAgentToolkit(catalog=pocket_toolkit.catalog, backend="cuda")  # type: ignore[arg-type]


def agent(toolkit: DiffAgentToolkit, *answers: AIMessage) -> Any:
    return create_agent(ScriptedPlanner(answers=[*answers, AIMessage("Here it is.")]), toolkit.get_tools())


def test_in_an_agent_a_fault_comes_back_to_the_model(pocket_toolkit: DiffAgentToolkit) -> None:
    built = agent(
        pocket_toolkit,
        calling("generate_image", {"prompt": "a cat", "steps": 0}),
        calling("generate_image", {"prompt": "a cat", "steps": 2}),
    )
    state = built.invoke({"messages": [("user", "a cat, please")]})
    answers = [message for message in state["messages"] if isinstance(message, ToolMessage)]
    assert [message.status for message in answers] == ["error", "success"]
    assert "steps=0 is too small" in answers[0].text


STEPS = [{"event": "step", "model": "civitai:9001@9101", "step": step, "total": 2} for step in (1, 2)]


def test_in_an_agent_progress_is_streamed(pocket_toolkit: DiffAgentToolkit) -> None:
    built = agent(pocket_toolkit, calling("generate_image", {"prompt": "a cat", "steps": 2}))
    call, *steps = built.stream({"messages": [("user", "a cat")]}, stream_mode="custom")
    assert (call["event"], call["model"], call["call"]["steps"]) == ("call", "civitai:9001@9101", 2)
    assert steps == STEPS


async def test_progress_is_streamed_from_the_async_path(pocket_toolkit: DiffAgentToolkit) -> None:
    built = agent(pocket_toolkit, calling("generate_image", {"prompt": "a cat", "steps": 2}))
    events = [event async for event in built.astream({"messages": [("user", "a cat")]}, stream_mode="custom")]
    assert events[1:] == STEPS


async def test_progress_of_a_typed_tool_is_streamed(pocket_toolkit: DiffAgentToolkit) -> None:
    planner = ScriptedPlanner(answers=[calling(ANIMALS, {**ARGUMENTS, "loras": []}), AIMessage("Here it is.")])
    built = create_agent(planner, pocket_toolkit.tools_for("a cat", k=1))
    events = [event async for event in built.astream({"messages": [("user", "a cat")]}, stream_mode="custom")]
    assert events == STEPS


async def test_a_backend_may_call_back_from_threads_of_its_own(
    pocket_toolkit: DiffAgentToolkit, tmp_path: Path
) -> None:
    toolkit = DiffAgentToolkit(
        catalog=pocket_toolkit.catalog, backend=PaperBackend(tmp_path / "log"), shortlister=pocket_toolkit.shortlister,
        store=ArtifactStore(tmp_path),
    )  # fmt: skip
    built = agent(toolkit, calling("generate_image", {"prompt": "a cat", "steps": 2}))
    events = [event async for event in built.astream({"messages": [("user", "a cat")]}, stream_mode="custom")]
    assert events[1:] == STEPS


def test_what_a_checkpoint_keeps_is_small_and_still_leads_to_the_picture(
    pocket_toolkit: DiffAgentToolkit, tmp_path: Path
) -> None:
    tools = pocket_toolkit.get_tools()
    thread: RunnableConfig = {"configurable": {"thread_id": "1"}}
    with SqliteSaver.from_conn_string(str(tmp_path / "threads.sqlite")) as saver:
        planner = ScriptedPlanner(
            answers=[calling("generate_image", {"prompt": "a cat", "steps": 2}), AIMessage("Here.")]
        )
        create_agent(planner, tools, checkpointer=saver).invoke({"messages": [("user", "a cat")]}, thread)
    with SqliteSaver.from_conn_string(str(tmp_path / "threads.sqlite")) as saver:
        messages = create_agent(planner, tools, checkpointer=saver).get_state(thread).values["messages"]
    (drawn,) = [message.artifact for message in messages if isinstance(message, ToolMessage)]
    assert type(drawn) is dict
    assert is_image(drawn)
    assert pocket_toolkit.store.open(drawn["image"]).size == (64, 64)
    assert len(json.dumps(drawn)) < 1500


PROBE = """
import sys
from diffagent_tools import DiffAgentToolkit
toolkit = DiffAgentToolkit.pocket()
toolkit.get_tools()
print(*(name for name in ("torch", "diffusers", "transformers") if name in sys.modules))
"""


def test_nothing_heavy_is_loaded_before_it_is_needed(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", PROBE], cwd=ROOT, env={"DIFFAGENT_HOME": str(tmp_path), "PYTHONPATH": str(ROOT)},
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert done.stdout.split() == []
