"""`diffagent mcp` as clients use it: real processes, the pocket world, the official client and LangChain's."""

from __future__ import annotations

import asyncio
import base64
import io
import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal
from uuid import uuid4

import anyio
import httpx
import httpx2
import pytest
from langchain_core.messages import ToolMessage
from mcp import Client, StdioServerParameters
from mcp.client.streamable_http import streamable_http_client
from mcp.types import BlobResourceContents, CallToolResult, ImageContent, TextContent
from PIL import Image

from tests.graphs.cli.conftest import Result

ROOT = Path(__file__).parents[3]
Mode = Literal["auto", "legacy"]
"""The protocol of 2026, which the official client tries first, or the one before it, which most others speak."""
HELLO = {"protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": {"name": "test", "version": "1"}}
HTTP = (("http", "auto"), ("http", "legacy"))


@dataclass(frozen=True)
class Served:
    """Where a server is reached, and where its pictures are kept."""

    home: Path
    url: str = ""
    key: str = ""

    @property
    def pictures(self) -> list[Path]:
        return sorted((self.home / "artifacts").rglob("*.png"))


def environment(home: Path, **more: str) -> dict[str, str]:
    """As a client starts a server: with the command on the path, at home in a folder of the test."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    return {**os.environ, "PATH": path, "DIFFAGENT_HOME": str(home), "OMP_NUM_THREADS": "1", **more}


@contextmanager
def over_http(home: Path, *options: str, **variables: str) -> Iterator[Served]:
    """A server on a free port; afterwards it ends by Ctrl-C within seconds."""
    process = subprocess.Popen(
        ["diffagent", "mcp", "--http", "--port", "0", *options],
        env=environment(home, **variables),
        stderr=subprocess.PIPE,
        text=True,
    )
    with process:
        assert process.stderr is not None
        try:
            told = process.stderr.readline()
            found = re.search(r"http://\S+/mcp", told)
            assert found, told
            yield Served(home, found[0], variables.get("DIFFAGENT_SERVER_KEY", ""))
        finally:
            process.send_signal(signal.SIGINT)
            assert process.wait(30) == 0


@pytest.fixture(scope="module")
def http(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with over_http(tmp_path_factory.mktemp("http")) as served:
        yield served


@pytest.fixture(scope="module")
def stdio(tmp_path_factory: pytest.TempPathFactory) -> Served:
    return Served(tmp_path_factory.mktemp("stdio"))


@pytest.fixture
def served(request: pytest.FixtureRequest) -> Served:
    """The server of the fixture that a test names."""
    found: Served = request.getfixturevalue(request.param)
    return found


@asynccontextmanager
async def connected(served: Served, mode: Mode = "auto") -> AsyncIterator[Client]:
    """The official client; over stdio it starts what `examples/mcp_client.json` says."""
    if served.url:
        async with Client(served.url, mode=mode) as client:
            yield client
        return
    parameters = StdioServerParameters(**example(), env=environment(served.home))
    async with Client(parameters, mode=mode) as client:
        yield client


def example() -> dict[str, Any]:
    servers = json.loads((ROOT / "examples" / "mcp_client.json").read_text(encoding="utf-8"))["mcpServers"]
    found: dict[str, Any] = servers["diffagent"]
    return found


def data_of(answer: CallToolResult) -> dict[str, Any]:
    """What an answer says; it must not be an error."""
    assert not answer.is_error, answer.content
    assert answer.structured_content is not None
    return answer.structured_content


@pytest.mark.parametrize(("served", "mode"), [("stdio", "auto"), *HTTP], indirect=["served"])
async def test_a_picture_is_drawn_watched_shown_kept_and_judged(served: Served, mode: Mode) -> None:
    steps: list[tuple[float, float | None]] = []

    async def watch(progress: float, total: float | None, message: str | None) -> None:
        steps.append((progress, total))

    async with connected(served, mode) as client:
        tools = [tool.name for tool in (await client.list_tools()).tools]
        assert tools == ["search_models", "describe_model", "generate_image", "score_image"]
        answer = await client.call_tool(
            "generate_image", {"prompt": "a fox in pixel art", "steps": 4, "seed": 1}, progress_callback=watch
        )
        drawn = data_of(answer)
        shown, text = answer.content
        [kept] = (await client.read_resource(drawn["uri"])).contents
        score = data_of(await client.call_tool("score_image", {"image": drawn["image"], "prompt": "a fox"}))

    assert steps == [(0, None), *((step, 4) for step in range(1, 5))]
    assert isinstance(shown, ImageContent)
    assert isinstance(text, TextContent)
    assert isinstance(kept, BlobResourceContents)
    assert shown.mime_type == kept.mime_type == "image/png"
    assert shown.data == kept.blob
    assert Path(drawn["path"]) in served.pictures
    with Image.open(io.BytesIO(base64.b64decode(kept.blob))) as picture:
        assert "Seed: 1" in picture.info["parameters"]
    assert 0 < score["reward"] < 1


async def test_a_wrong_call_is_an_error_that_says_what_is_possible(http: Served) -> None:
    async with connected(http) as client:
        answer = await client.call_tool("generate_image", {"prompt": "a fox", "model": "civitai:1@1"})
        picture = await client.call_tool("generate_image", {"prompt": "a fox", "steps": 1})

    assert answer.is_error
    [text] = answer.content
    assert isinstance(text, TextContent)
    assert "the nearest are civitai:9" in text.text
    assert data_of(picture)


@pytest.mark.parametrize(
    ("served", "mode"), [pytest.param("stdio", "legacy", marks=pytest.mark.slow), *HTTP], indirect=["served"]
)
async def test_a_client_that_cancels_stops_the_drawing(served: Served, mode: Mode) -> None:
    before = len(served.pictures)
    async with connected(served, mode) as client:
        with anyio.CancelScope() as scope:

            async def cancel(progress: float, total: float | None, message: str | None) -> None:
                if progress >= 2:
                    scope.cancel()

            await client.call_tool("generate_image", {"prompt": "a fox", "steps": 100}, progress_callback=cancel)
        assert scope.cancelled_caught
        # One picture is drawn at a time, so this one waits for the first to end.
        drawn = data_of(await client.call_tool("generate_image", {"prompt": "a fox", "steps": 1}))
        await asyncio.sleep(0.5)

    assert len(served.pictures) == before + 1
    assert Path(drawn["path"]) in served.pictures


@pytest.mark.filterwarnings("ignore::langchain_core._api.LangChainBetaWarning")
async def test_langchain_gets_its_tools_back(http: Served) -> None:
    from langchain.mcp import MCPAdapter

    async with MCPAdapter(http.url) as adapter:
        tools = {tool.name: tool for tool in await adapter.list_tools()}
        drawing = tools["generate_image"]
        call = {"type": "tool_call", "id": "1", "name": drawing.name, "args": {"prompt": "a fox", "steps": 1}}
        message = await drawing.ainvoke(call)
        wrong = await drawing.ainvoke({**call, "args": {"prompt": "a fox", "steps": 0}})

    assert isinstance(message, ToolMessage)
    image, text = message.content_blocks
    assert image["type"] == "image"
    assert image["mime_type"] == "image/png"
    assert text["type"] == "text"
    digest = message.artifact["structured_content"]["image"]
    assert any(path.stem == digest for path in http.pictures)
    assert isinstance(wrong, ToolMessage)
    assert wrong.status == "error"
    assert "steps" in wrong.text


def test_web_pages_of_others_are_refused(http: Served) -> None:
    request = {"jsonrpc": "2.0", "id": 1, "method": "tools/list"}
    accept = {"Accept": "application/json, text/event-stream"}
    for header in ({"Host": "rebound.example"}, {"Origin": "http://evil.example"}):
        answer = httpx.post(http.url, json=request, headers={**accept, **header}, trust_env=False)
        assert answer.status_code in (403, 421)


async def test_with_a_key_only_those_who_know_it_are_let_in(tmp_path: Path) -> None:
    key = uuid4().hex
    with over_http(tmp_path, "--host", "0.0.0.0", DIFFAGENT_SERVER_KEY=key) as served:
        url = served.url.replace("0.0.0.0", "127.0.0.1")
        async with httpx2.AsyncClient(trust_env=False) as bare:
            assert (await bare.post(url, json={})).status_code == 401
            wrong = {"Authorization": f"Bearer {key[:-1]}"}
            assert (await bare.post(url, json={}, headers=wrong)).status_code == 401
        right = {"Authorization": f"Bearer {key}"}
        async with (
            httpx2.AsyncClient(headers=right, trust_env=False) as known,
            Client(streamable_http_client(url, http_client=known)) as client,
        ):
            assert (await client.list_tools()).tools


@pytest.mark.slow
async def test_a_server_ends_with_its_client_though_it_draws(stdio: Served) -> None:
    process = await asyncio.create_subprocess_exec(
        "diffagent", "mcp", env=environment(stdio.home), stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert process.stdin is not None
    assert process.stdout is not None
    drawing = {"name": "generate_image", "arguments": {"prompt": "a fox", "steps": 100}, "_meta": {"progressToken": 1}}
    for message in (
        {"id": 1, "method": "initialize", "params": HELLO},
        {"method": "notifications/initialized"},
        {"id": 2, "method": "tools/call", "params": drawing},
    ):
        process.stdin.write(json.dumps({"jsonrpc": "2.0", **message}).encode() + b"\n")
    while b'"progress":2' not in await process.stdout.readline():
        pass
    before = len(stdio.pictures)
    process.stdin.close()
    rest = await asyncio.wait_for(process.stdout.read(), 30)

    assert await process.wait() == 0
    assert all(json.loads(line)["jsonrpc"] == "2.0" for line in rest.splitlines())
    assert len(stdio.pictures) == before


def test_it_can_be_interrupted_while_it_waits_for_its_client(stdio: Served) -> None:
    process = subprocess.Popen(
        ["diffagent", "mcp"], env=environment(stdio.home), stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    with process:
        assert process.stdin is not None
        assert process.stdout is not None
        message = {"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": HELLO}
        process.stdin.write(json.dumps(message).encode() + b"\n")
        process.stdin.flush()
        assert b'"diffagent"' in process.stdout.readline()
        process.send_signal(signal.SIGINT)
        try:
            assert process.wait(20) == -signal.SIGINT
        finally:
            process.kill()


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--port", "8090"], "add --http"),
        (["--http", "--host", "0.0.0.0"], "an API key is required"),
        (["--http", "--host", "192.0.2.1", "--port", "0"], "an API key is required"),
        (["--http", "--api-key-file", "no-such-file"], "cannot be read"),
    ],
)
def test_a_setup_that_cannot_be_served_is_refused(
    run: Callable[..., Result], monkeypatch: pytest.MonkeyPatch, options: list[str], said: str
) -> None:
    monkeypatch.delenv("DIFFAGENT_SERVER_KEY", raising=False)
    result = run("mcp", *options)

    assert result.code == 2
    assert said in result.stderr
    assert result.stdout == ""
