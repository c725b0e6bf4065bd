"""`langgraph dev` as a user starts it: the real server over the project's `langgraph.json`, cut off from the world."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import httpx

ROOT = Path(__file__).parents[2]
KEPT = ("PATH", "HOME", "LANG", "TMPDIR", "OMP_NUM_THREADS", "VIRTUAL_ENV")


@dataclass
class LangGraphServer:
    """A running server.

    Attributes:
        url: Where it listens.
        log_file: What it prints.
        outside: The first line of each request that it sent elsewhere.
    """

    url: str
    log_file: Path
    outside: list[str] = field(default_factory=list)

    @property
    def log(self) -> str:
        """What it has printed so far."""
        return self.log_file.read_text(errors="replace")


@contextmanager
def langgraph_server(folder: Path, *, seconds: float = 180) -> Iterator[LangGraphServer]:
    """Start the server with its files in `folder`, and wait until it answers."""
    server = LangGraphServer(f"http://127.0.0.1:{_free_port()}", folder / "server.log")
    with _proxy(server.outside) as proxy:
        environment = {name: os.environ[name] for name in KEPT if name in os.environ} | {
            "DIFFAGENT_HOME": str(folder / "home"),
            "LANGGRAPH_CLI_NO_ANALYTICS": "1",
            "LANGGRAPH_NO_VERSION_CHECK": "true",
            "HTTP_PROXY": proxy, "HTTPS_PROXY": proxy, "NO_PROXY": "127.0.0.1,localhost",
        }  # fmt: skip
        command = [
            str(Path(sys.executable).with_name("langgraph")), "dev", "--config", str(ROOT / "langgraph.json"),
            "--no-browser", "--no-reload", "--port", server.url.rpartition(":")[2],
        ]  # fmt: skip
        with server.log_file.open("wb") as log:
            process = subprocess.Popen(
                command, cwd=folder, env=environment, stdout=log, stderr=log, start_new_session=True
            )
        try:
            _wait(server, process, seconds)
            yield server
        finally:
            os.killpg(process.pid, signal.SIGTERM)
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()


def _wait(server: LangGraphServer, process: subprocess.Popen[bytes], seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while True:
        assert process.poll() is None, server.log
        assert time.monotonic() < deadline, server.log
        try:
            if httpx.get(f"{server.url}/ok", timeout=5, trust_env=False).is_success:
                return
        except httpx.HTTPError:
            time.sleep(0.2)


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


@contextmanager
def _proxy(heard: list[str]) -> Iterator[str]:
    """A proxy that forwards nothing and notes the first line of whatever it is asked for."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def listen() -> None:
            while True:
                try:
                    asking, _ = listener.accept()
                except OSError:
                    return
                with asking:
                    heard.append(asking.recv(1_000).decode(errors="replace").partition("\r")[0])

        thread = threading.Thread(target=listen, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        listener.shutdown(socket.SHUT_RDWR)
        thread.join(5)
