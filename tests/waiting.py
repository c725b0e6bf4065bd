from __future__ import annotations

import time
from collections.abc import Callable


def until(so: Callable[[], bool], seconds: float = 20.0) -> None:
    """Wait until something is so."""
    deadline = time.monotonic() + seconds
    while not so():
        assert time.monotonic() < deadline, "it never was so"
        time.sleep(0.02)
