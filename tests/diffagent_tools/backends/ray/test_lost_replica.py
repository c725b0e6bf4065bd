"""Two hundred mixed requests, while one of two replicas is killed."""

from __future__ import annotations

import logging
import os
import random
import signal
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from diffagent_tools.backends.diffusers_backend import DiffusersBackend
from diffagent_tools.backends.protocol import Drawing
from diffagent_tools.backends.ray import RayBackend
from tests.ray_cluster import pocket_call, served
from tool_specs.calls import Call

pytestmark = [pytest.mark.ray, pytest.mark.slow]

CHECKPOINTS, CALLERS = 4, 6
CHANCE = 0.5
"""Of a replica that keeps two of four checkpoints and is sent requests at random."""


def mixed_calls(count: int) -> list[Call]:
    calls = [pocket_call(number % CHECKPOINTS, seed=number, steps=1) for number in range(count)]
    random.Random(0).shuffle(calls)
    return calls


def hit_rate(backend: RayBackend) -> float:
    return sum(one.hits for one in backend.reports) / sum(one.drawings for one in backend.reports)


def kill_after(backend: RayBackend, drawings: int) -> None:
    """Kill a replica, in mid-work, when so many pictures have been drawn."""
    while sum(one.drawings for one in backend.reports) < drawings:
        time.sleep(0.01)
    os.kill(backend.reports[0].pid, signal.SIGKILL)


def test_a_killed_replica_costs_no_request(
    cluster: None, local: DiffusersBackend, caplog: pytest.LogCaptureFixture
) -> None:
    calls = mixed_calls(200)
    delivered: list[tuple[Call, Drawing]] = []

    with served("killed") as backend, ThreadPoolExecutor(CALLERS) as callers, caplog.at_level(logging.WARNING):
        killer = threading.Thread(target=kill_after, args=(backend, 60))
        killer.start()
        for _ in callers.map(lambda call: delivered.append((call, backend.draw(call))), calls):
            pass
        killer.join()

    assert "was lost" in caplog.text
    assert len(backend.reports) == 3
    assert sorted(call.seed or 0 for call, _ in delivered) == list(range(200))
    assert all(drawing.call == call for call, drawing in delivered)
    assert all(drawing.image.tobytes() == local.draw(call).image.tobytes() for call, drawing in delivered)


def test_requests_go_where_their_checkpoint_is(cluster: None) -> None:
    with served("locality") as backend, ThreadPoolExecutor(CALLERS) as callers:
        drawings = list(callers.map(backend.draw, mixed_calls(60)))

    assert sum(one.drawings for one in backend.reports) == len(drawings) == 60
    assert hit_rate(backend) > (1 + CHANCE) / 2
