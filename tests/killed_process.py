"""Runs of a module in a process of its own, and killing one in the middle."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).parents[1]


def started(module: str, *arguments: object) -> subprocess.Popen[str]:
    """A process that runs a module of the tests; its output is a pipe."""
    command = [sys.executable, "-m", module, *map(str, arguments)]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    return subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True, env=environment)


def kill_after(process: subprocess.Popen[str], log: Path, lines: int, *, seconds: float) -> None:
    """Kill a process with signal 9 once its log has so many lines."""
    deadline = time.monotonic() + seconds
    while not (log.exists() and len(log.read_text().splitlines()) >= lines):
        assert time.monotonic() < deadline
        assert process.poll() is None
        time.sleep(0.02)
    os.kill(process.pid, signal.SIGKILL)
    process.communicate()
