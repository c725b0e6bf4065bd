"""The server by itself, over FastMCP's own client in memory; tests/graphs/cli/test_mcp.py goes over the wire."""

from __future__ import annotations

import asyncio
import base64
import io
import json
import os
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from fastmcp import Client
from fastmcp.client.client import CallToolResult
from fastmcp.exceptions import ToolError
from mcp import MCPError
from mcp.types import BlobResourceContents, ImageContent, TextContent
from PIL import Image

from diffagent_tools.artifacts import ArtifactStore
from diffagent_tools.backends.protocol import Backend, Drawing, StepProgress
from diffagent_tools.serving.api.fair_queue import FairQueue
from diffagent_tools.serving.mcp_server import create_mcp_server
from diffagent_tools.toolkit import DiffAgentToolkit
from tool_specs.calls import Call
from tool_specs.exceptions import DrawingCancelled

ROOT = Path(__file__).parents[3]


class StepByStep(Backend):
    """A backend that takes steps until it is told to stop."""

    def __init__(self) -> None:
        self.stopped = threading.Event()

    def draw(
        self,
        call: Call,
        *,
        on_step: Callable[[StepProgress], None] | None = None,
        cancel: threading.Event | None = None,
    ) -> Drawing:
        assert on_step is not None
        assert cancel is not None
        for step in range(1, 1_000):
            on_step(StepProgress(step, 1_000))
            if cancel.wait(0.02):
                self.stopped.set()
                msg = "stopped"
                raise DrawingCancelled(msg)
        raise AssertionError


class Noise(Backend):
    """A backend whose pictures cannot be compressed."""

    def draw(
        self,
        call: Call,
        *,
        on_step: Callable[[StepProgress], None] | None = None,
        cancel: threading.Event | None = None,
    ) -> Drawing:
        pixels = np.random.default_rng(1).integers(0, 256, (1_200, 1_500, 3), dtype=np.uint8)
        return Drawing(Image.fromarray(pixels), call.model_copy(update={"seed": 1}), 0.1)


class Broken(Backend):
    """A backend with a fault that nobody foresaw."""

    def draw(
        self,
        call: Call,
        *,
        on_step: Callable[[StepProgress], None] | None = None,
        cancel: threading.Event | None = None,
    ) -> Drawing:
        msg = "the password is swordfish"
        raise ZeroDivisionError(msg)


def client_of(toolkit: DiffAgentToolkit, backend: Backend | None = None, store: ArtifactStore | None = None) -> Client:
    changes = {name: part for name, part in (("backend", backend), ("store", store)) if part is not None}
    return Client(create_mcp_server(toolkit.model_copy(update=changes)))


async def test_the_tools_of_the_toolkit_are_offered_with_typed_arguments(pocket_toolkit: DiffAgentToolkit) -> None:
    async with client_of(pocket_toolkit) as client:
        tools = {tool.name: tool for tool in await client.list_tools()}

    assert list(tools) == [tool.name for tool in pocket_toolkit.get_tools()]
    drawing = tools["generate_image"]
    assert drawing.input_schema["required"] == ["prompt"]
    assert {"type": "integer"} in drawing.input_schema["properties"]["steps"]["anyOf"]
    assert "$ref" not in json.dumps(drawing.input_schema)
    assert drawing.annotations is not None
    assert drawing.annotations.read_only_hint is False
    assert all(tools[name].annotations.read_only_hint for name in ("search_models", "describe_model", "score_image"))  # type: ignore[union-attr]


async def test_found_models_are_text_and_data(pocket_toolkit: DiffAgentToolkit) -> None:
    async with client_of(pocket_toolkit) as client:
        answer = await client.call_tool("search_models", {"query": "a fox in pixel art", "k": 2})

    assert answer.structured_content is not None
    assert len(answer.structured_content["models"]) == 2
    [text] = answer.content
    assert isinstance(text, TextContent)
    assert json.loads(text.text) == answer.structured_content


@pytest.mark.parametrize(
    ("tool", "arguments", "said"),
    [
        ("generate_image", {"prompt": "a fox", "model": "civitai:1@1"}, "the nearest are"),
        ("generate_image", {"prompt": "a fox", "steps": 5_000}, "steps"),
        ("search_models", {"query": "a fox", "k": 0}, "the arguments are not valid: k"),
        ("score_image", {"image": "../../etc/passwd", "prompt": "a fox"}, "is not a SHA-256"),
    ],
)
async def test_what_the_client_can_put_right_is_said(
    pocket_toolkit: DiffAgentToolkit, tool: str, arguments: dict[str, object], said: str
) -> None:
    async with client_of(pocket_toolkit) as client:
        with pytest.raises(ToolError, match=said):
            await client.call_tool(tool, arguments)


async def test_a_full_disk_is_said_as_well(pocket_toolkit: DiffAgentToolkit, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("no folder")
    async with client_of(pocket_toolkit, Noise(), ArtifactStore(tmp_path / "file")) as client:
        with pytest.raises(ToolError, match="choose another folder"):
            await client.call_tool("generate_image", {"prompt": "a fox"})


async def test_of_other_faults_the_client_learns_nothing(
    pocket_toolkit: DiffAgentToolkit, capfd: pytest.CaptureFixture[str]
) -> None:
    async with client_of(pocket_toolkit, Broken()) as client:
        with pytest.raises(ToolError) as caught:
            await client.call_tool("generate_image", {"prompt": "a fox"})

    assert "swordfish" not in str(caught.value)
    assert "swordfish" in capfd.readouterr().err


async def test_a_big_picture_is_shown_smaller_and_kept_whole(pocket_toolkit: DiffAgentToolkit, tmp_path: Path) -> None:
    async with client_of(pocket_toolkit, Noise(), ArtifactStore(tmp_path)) as client:
        answer = await client.call_tool("generate_image", {"prompt": "a fox"})
        assert answer.structured_content is not None
        [kept] = await client.read_resource(answer.structured_content["uri"])

    shown = answer.content[0]
    assert isinstance(shown, ImageContent)
    assert shown.mime_type == "image/jpeg"
    assert len(shown.data) < 1 << 20
    with Image.open(io.BytesIO(_bytes(shown.data))) as picture:
        assert picture.size == (1024, 819)
    assert isinstance(kept, BlobResourceContents)
    assert kept.mime_type == "image/png"
    assert _bytes(kept.blob) == _file(answer).read_bytes()


async def test_a_client_that_cancels_stops_the_drawing(pocket_toolkit: DiffAgentToolkit, tmp_path: Path) -> None:
    backend, drawing = StepByStep(), asyncio.Event()

    async def watch(progress: float, total: float | None, message: str | None) -> None:
        if progress >= 2:
            assert (total, message) == (1_000, f"step {progress:.0f} of 1000")
            drawing.set()

    async with client_of(pocket_toolkit, backend, ArtifactStore(tmp_path)) as client:
        call = asyncio.create_task(client.call_tool("generate_image", {"prompt": "a fox"}, progress_handler=watch))
        await asyncio.wait_for(drawing.wait(), 30)
        assert not backend.stopped.is_set()
        call.cancel()
        assert await asyncio.to_thread(backend.stopped.wait, 10)


async def test_a_full_queue_refuses_and_drawings_take_turns(pocket_toolkit: DiffAgentToolkit, tmp_path: Path) -> None:
    backend, drawing = StepByStep(), asyncio.Event()

    async def watch(progress: float, total: float | None, message: str | None) -> None:
        drawing.set()

    toolkit = pocket_toolkit.model_copy(update={"backend": backend, "store": ArtifactStore(tmp_path)})
    queue = FairQueue(places=1, waiting=1, per_client=1)
    async with Client(create_mcp_server(toolkit, queue=queue)) as client:
        first = asyncio.create_task(client.call_tool("generate_image", {"prompt": "a fox"}, progress_handler=watch))
        await asyncio.wait_for(drawing.wait(), 30)
        second = asyncio.create_task(client.call_tool("generate_image", {"prompt": "a fox"}))
        while not queue.waiting:  # noqa: ASYNC110 - a queue tells nobody
            await asyncio.sleep(0.01)
        with pytest.raises(ToolError, match="too many requests are waiting"):
            await client.call_tool("generate_image", {"prompt": "a fox"})
        assert await client.call_tool("search_models", {"query": "a fox"})
        second.cancel()
        first.cancel()
        assert await asyncio.to_thread(backend.stopped.wait, 10)


@pytest.mark.parametrize(
    "name",
    ["0" * 64, "0" * 63, "A" * 64, "..%2F..%2F..%2Fetc%2Fpasswd", "%2Fetc%2Fpasswd", "secret", "..%5Csecret"],
)
async def test_only_pictures_of_the_store_can_be_read(
    pocket_toolkit: DiffAgentToolkit, tmp_path: Path, name: str
) -> None:
    (tmp_path / "secret").write_text("swordfish")
    (tmp_path / "secret.png").write_text("swordfish")
    async with client_of(pocket_toolkit, store=ArtifactStore(tmp_path / "artifacts")) as client:
        with pytest.raises(MCPError, match=r"there is no picture|not found"):
            await client.read_resource(f"diffagent://images/{name}")


async def test_a_changed_picture_is_not_shown(pocket_toolkit: DiffAgentToolkit, tmp_path: Path) -> None:
    async with client_of(pocket_toolkit, Noise(), ArtifactStore(tmp_path)) as client:
        answer = await client.call_tool("generate_image", {"prompt": "a fox"})
        assert answer.structured_content is not None
        _file(answer).write_bytes(b"another picture")
        with pytest.raises(MCPError, match="there is no picture"):
            await client.read_resource(answer.structured_content["uri"])


CHATTY = """
import os
from pathlib import Path
from diffagent_tools.artifacts import ArtifactStore
from diffagent_tools.serving.mcp_server import create_mcp_server
from diffagent_tools.serving.mcp_transports import run_stdio
from diffagent_tools.toolkit import DiffAgentToolkit
from tests.diffagent_tools.serving.test_mcp_server import Noise
from tool_specs.catalog import Catalog

class Chatty(Noise):
    def draw(self, call, **options):
        print("noise")
        os.write(1, b"noise")
        print("noise without an end", end="")
        return super().draw(call, **options)

toolkit = DiffAgentToolkit(catalog=Catalog.pocket(), backend=Chatty(), store=ArtifactStore({store!r}))
run_stdio(create_mcp_server(toolkit))
"""
HELLO = {"protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": {"name": "test", "version": "1"}}


def test_nothing_but_the_protocol_reaches_standard_output(tmp_path: Path) -> None:
    messages = [
        {"id": 1, "method": "initialize", "params": HELLO},
        {"method": "notifications/initialized"},
        {"id": 2, "method": "tools/call", "params": {"name": "generate_image", "arguments": {"prompt": "a fox"}}},
    ]
    process = subprocess.Popen(
        [sys.executable, "-c", CHATTY.format(store=str(tmp_path))],
        cwd=ROOT,
        env={name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    with process:
        assert process.stdin is not None
        assert process.stdout is not None
        assert process.stderr is not None
        for message in messages:
            process.stdin.write(json.dumps({"jsonrpc": "2.0", **message}) + "\n")
        process.stdin.flush()
        answers = [json.loads(process.stdout.readline()) for _ in range(2)]
        process.stdin.close()
        rest, noise = process.stdout.read(), process.stderr.read()

    assert [answer["id"] for answer in answers] == [1, 2]
    assert answers[1]["result"]["content"][0]["type"] == "image"
    assert rest == ""
    assert noise.count("noise") == 3
    assert process.returncode == 0


def _file(answer: CallToolResult) -> Path:
    assert answer.structured_content is not None
    return Path(answer.structured_content["path"])


def _bytes(text: str) -> bytes:
    return base64.b64decode(text)
