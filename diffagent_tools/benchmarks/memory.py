"""How much memory this process holds and has held."""

from __future__ import annotations

import re
import resource
import sys
from pathlib import Path
from typing import Final

_STATUS: Final = Path("/proc/self/status")


def memory_mb() -> float:
    """What it holds now, in 10**6 bytes; where the system does not say, the most so far."""
    return _status("VmRSS") if _STATUS.exists() else _most()


def most_memory_mb() -> float:
    """The most so far, in 10**6 bytes."""
    return _status("VmHWM") if _STATUS.exists() else _most()


def _status(field: str) -> float:
    """Unlike `getrusage`, this begins with the program, not with the process that started it."""
    match = re.search(rf"{field}:\s*(\d+) kB", _STATUS.read_text())
    assert match is not None
    return int(match[1]) * 1024 / 1e6


def _most() -> float:
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return most / 1e6 if sys.platform == "darwin" else most * 1024 / 1e6
