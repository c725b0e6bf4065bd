from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from threading import Thread

import httpx
import openai
import pytest

from tests.graphs.cli.conftest import Result
from tests.waiting import until

ROOT = Path(__file__).parents[3]
KEY = "a-key-of-more-than-16-letters"
URL = re.compile(r"http://\S+/v1")


@dataclass
class Serving:
    """The command in a process of its own, and what it has said."""

    process: subprocess.Popen[str]
    folder: Path
    said: str = ""

    @property
    def url(self) -> str:
        found = URL.search(self.said)
        assert found, self.said
        return found[0]

    def listen(self) -> None:
        """Note all it says; an unread pipe would stop it."""
        assert self.process.stderr is not None
        for line in self.process.stderr:
            self.said += line


@contextmanager
def serving(folder: Path, *arguments: str, step_seconds: float = 0.0) -> Iterator[Serving]:
    """Serve the paper world."""
    environment = {
        **os.environ,
        "DIFFAGENT_HOME": str(folder / "home"),
        "LOG": str(folder / "drawn.log"),
        "STEP_SECONDS": str(step_seconds),
        "PYTHONPATH": str(ROOT),
    }
    command = [sys.executable, "-m", "tests.graphs.cli.paper_command", "serve", "--port", "0", *arguments]
    process = subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True, cwd=ROOT)
    server = Serving(process, folder)
    listener = Thread(target=server.listen)
    listener.start()
    try:
        until(lambda: URL.search(server.said) is not None or process.poll() is not None, 60)
        yield server
    finally:
        process.kill()
        process.wait()
        listener.join()


def test_it_serves_until_ctrl_c_and_asks_for_the_key_in_the_file(tmp_path: Path) -> None:
    file = tmp_path / "key"
    file.write_text(KEY)
    with serving(tmp_path, "--api-key-file", str(file)) as server:
        client = openai.OpenAI(base_url=server.url, api_key=KEY)
        assert client.images.generate(model="diffagent", prompt="a fox").data
        with pytest.raises(openai.AuthenticationError):
            client.with_options(api_key="wrong").models.list()
        server.process.send_signal(signal.SIGINT)
        assert server.process.wait(30) == 0
    assert "stopped" in server.said
    assert "Traceback" not in server.said
    assert KEY not in server.said


def test_a_signal_lets_the_picture_that_is_being_drawn_end(tmp_path: Path) -> None:
    with serving(tmp_path, step_seconds=0.3) as server:
        client = openai.OpenAI(base_url=server.url, api_key="none", max_retries=0)
        answers = []
        asking = Thread(target=lambda: answers.append(client.images.generate(prompt="a fox")))
        asking.start()
        until(lambda: (tmp_path / "drawn.log").exists(), 60)
        server.process.send_signal(signal.SIGTERM)
        asking.join(30)
        server.process.wait(30)
    assert answers[0].data
    assert "Traceback" not in server.said


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("--host", "0.0.0.0"), "an API key is required"),
        (("--api-key-file", "/no/such/file"), "cannot be read"),
        (("--host", "192.0.2.1", "--api-key-file", "KEY"), "cannot listen"),
        (("--deadline", "0"), "deadline_seconds"),
        (("--queue", "1"), "max_pictures=10"),
        (("--port", "99999"), "--port"),
    ],
)
def test_a_setup_that_cannot_be_served_is_said_in_one_line(
    run: Callable[..., Result], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: tuple[str, ...], told: str
) -> None:
    monkeypatch.delenv("DIFFAGENT_SERVER_KEY", raising=False)
    (tmp_path / "key").write_text(KEY)
    result = run("serve", *(str(tmp_path / "key") if one == "KEY" else one for one in arguments))
    assert result.code == 2
    assert told in result.stderr
    assert "Traceback" not in result.stderr
    assert KEY not in result.stderr


async def test_page_and_mcp_stand_beside_it(tmp_path: Path) -> None:
    from fastmcp import Client

    with serving(tmp_path) as server:
        root = server.url.removesuffix("v1")
        for address in ("mcp", "mcp/"):
            async with Client(f"{root}{address}") as client:
                tools = {tool.name for tool in await client.list_tools()}
        async with httpx.AsyncClient(base_url=root) as browser:
            page = await browser.get("/")
    assert {"search_models", "generate_image"} <= tools
    assert page.status_code == 200
    assert "DiffAgent" in page.text


def test_an_open_page_does_not_hold_it_up(tmp_path: Path) -> None:
    """Each page keeps a stream open that never ends by itself."""
    with serving(tmp_path) as server:
        heartbeat = f"{server.url.removesuffix('v1')}gradio_api/heartbeat/abc123"
        with httpx.stream("GET", heartbeat, timeout=60) as page:
            assert next(page.iter_bytes())
            began = time.monotonic()
            server.process.send_signal(signal.SIGINT)
            server.process.wait(timeout=60)
    assert time.monotonic() - began < 15
    assert "Traceback" not in server.said
