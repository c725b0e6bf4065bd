"""Processes that share the stages of the reproduction, one for each core."""

from __future__ import annotations

import os
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context, parent_process
from threading import Thread

THREADS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS")
"""What torch and numpy read when they are loaded."""


def workers(count: int | None = None) -> ProcessPoolExecutor:
    """Fresh processes (torch's threads do not survive a fork), which leave each other their cores.

    Args:
        count: How many; None for one for each core.
    """
    return ProcessPoolExecutor(count or os.cpu_count(), mp_context=get_context("spawn"), initializer=_begin)


def _begin() -> None:
    """Compute with one thread, and end with the process that this one works for, which may be killed."""
    os.environ |= dict.fromkeys(THREADS, "1")
    Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    parent = parent_process()
    assert parent is not None
    parent.join()
    os._exit(1)
