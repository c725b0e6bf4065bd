"""`RayBackend` against replicas that run."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from diffagent_tools.backends import Backend, StepProgress
from diffagent_tools.backends.diffusers_backend import DiffusersBackend
from diffagent_tools.backends.ray import RayBackend
from tests.ray_cluster import pocket_call, served
from tests.ray_sources import FAULTS
from tests.waiting import until
from tool_specs.catalog import Catalog
from tool_specs.exceptions import BackendError, CallError, ConfigError, DiffAgentError, DrawingCancelled

pytestmark = [pytest.mark.ray, pytest.mark.slow]

LONG = 60
"""Steps of a drawing that takes seconds."""
FAULTY = "tests.ray_sources:faulty_backend"


def is_running(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


@pytest.fixture(scope="module")
def backend(cluster: None) -> Iterator[RayBackend]:
    with served("drawing", backend=FAULTY, max_failures=100) as drawing:
        yield drawing


def test_it_draws_what_this_process_draws_and_tells_each_step(backend: RayBackend, local: DiffusersBackend) -> None:
    call = pocket_call(steps=4)
    steps: list[StepProgress] = []

    drawing = backend.draw(call, on_step=steps.append)

    assert isinstance(backend, Backend)
    assert steps == [StepProgress(step, 4) for step in (1, 2, 3, 4)]
    assert drawing.call == call
    assert drawing.image.mode == "RGB"
    assert drawing.image.tobytes() == local.draw(call).image.tobytes()


def test_steps_arrive_while_the_picture_is_drawn(backend: RayBackend) -> None:
    arrived: list[float] = []
    backend.draw(pocket_call(steps=LONG), on_step=lambda _: arrived.append(time.monotonic()))
    first, middle, last = arrived[0], arrived[LONG // 2], arrived[-1]

    assert middle - first > (last - first) / 10
    assert last - middle > (last - first) / 10


def test_a_random_seed_is_fixed_before_the_call_is_sent(backend: RayBackend, local: DiffusersBackend) -> None:
    drawing = backend.draw(pocket_call().model_copy(update={"seed": None}))

    assert drawing.call.seed is not None
    assert drawing.image.tobytes() == local.draw(drawing.call).image.tobytes()


def test_a_batch_comes_back_in_its_order(backend: RayBackend, local: DiffusersBackend) -> None:
    calls = [pocket_call(checkpoint=checkpoint, seed=seed) for seed in (1, 2) for checkpoint in range(2)]

    drawings = backend.draw_batch(calls)

    assert [drawing.call for drawing in drawings] == calls
    expected = [drawing.image.tobytes() for drawing in local.draw_batch(calls)]
    assert [drawing.image.tobytes() for drawing in drawings] == expected
    assert len(set(expected)) == 4


def test_cancelling_stops_the_replica_too(backend: RayBackend) -> None:
    cancel = threading.Event()

    def stop_early(progress: StepProgress) -> None:
        if progress.step == 3:
            cancel.set()

    with pytest.raises(DrawingCancelled, match=r"cancelled after 3 steps"):
        backend.draw(pocket_call(steps=LONG), on_step=stop_early, cancel=cancel)
    # The replica with this checkpoint draws one call at a time: the next one would have to wait for all steps.
    begun = time.monotonic()
    backend.draw(pocket_call())
    waited = time.monotonic() - begun

    begun = time.monotonic()
    backend.draw(pocket_call(steps=LONG))
    assert waited < (time.monotonic() - begun) / 2


def test_a_cancelled_call_is_not_even_sent(backend: RayBackend) -> None:
    cancel = threading.Event()
    cancel.set()
    with pytest.raises(DrawingCancelled, match="after 0 steps"):
        backend.draw(pocket_call(), cancel=cancel)


def test_what_the_listener_raises_reaches_the_caller(backend: RayBackend) -> None:
    error = KeyError("listener")

    def fail(progress: StepProgress) -> None:
        raise error

    with pytest.raises(KeyError) as raised:
        backend.draw(pocket_call(steps=LONG), on_step=fail)
    assert raised.value is error


@pytest.mark.parametrize("prompt", ["broken", "torn", "early"])
def test_errors_come_back_as_themselves(backend: RayBackend, prompt: str) -> None:
    error = FAULTS[prompt]
    with pytest.raises(DiffAgentError) as raised:
        backend.draw(pocket_call(prompt=prompt))

    assert type(raised.value) is type(error)
    assert str(raised.value) == str(error)
    assert vars(raised.value) == vars(error)


def test_a_model_that_does_not_exist(backend: RayBackend, local: DiffusersBackend) -> None:
    call = pocket_call().model_copy(update={"checkpoint": "civitai:1@1"})
    with pytest.raises(CallError) as here:
        local.draw(call)
    with pytest.raises(CallError) as there:
        backend.draw(call)
    assert str(there.value) == str(here.value)


def test_other_errors_become_one_line(backend: RayBackend) -> None:
    with pytest.raises(
        BackendError, match=r"^drawing civitai:\S+ failed on a replica: ZeroDivisionError: division by zero$"
    ):
        backend.draw(pocket_call(prompt="bug"))


def test_the_picture_to_begin_from_is_sent_along(backend: RayBackend, local: DiffusersBackend) -> None:
    begin = local.draw(pocket_call(seed=5)).image
    call = pocket_call().model_copy(update={"init_image": "A" * 64, "denoising_strength": 0.5})
    here = DiffusersBackend(Catalog.pocket(), pictures=lambda _: begin)
    there = RayBackend("local", application="drawing", pictures=lambda _: begin)

    assert there.draw(call).image.tobytes() == here.draw(call).image.tobytes()
    with pytest.raises(ConfigError, match=r"knows no store: RayBackend\(pictures=store\.load\)"):
        backend.draw(call)


def test_a_replica_that_is_stopped_ends_its_drawing_first(cluster: None, local: DiffusersBackend) -> None:
    from ray import serve

    call, begun = pocket_call(steps=LONG), threading.Event()
    with served("draining") as backend, ThreadPoolExecutor(1) as callers:
        drawing = callers.submit(backend.draw, call, on_step=lambda _: begun.set())
        assert begun.wait(60)
        serve.delete("draining")
        assert drawing.done()

    assert drawing.result().image.tobytes() == local.draw(call).image.tobytes()


def test_a_replica_that_fails_its_health_check_is_replaced(cluster: None) -> None:
    options = {"backend": FAULTY, "min_replicas": 1, "max_replicas": 1, "max_failures": 2, "health_check_period_s": 0.5}
    with served("unhealthy", **options) as backend:
        backend.draw(pocket_call())
        for seed in (1, 2):
            with pytest.raises(BackendError, match="CUDA error"):
                backend.draw(pocket_call(prompt="broken", seed=seed))

        [broken] = backend.reports
        until(lambda: not is_running(broken.pid), seconds=60)
        backend.draw(pocket_call())
        assert {one.replica for one in backend.reports} > {broken.replica}


def test_no_application(cluster: None) -> None:
    with pytest.raises(ConfigError, match=r"runs no Serve application 'other'; start it there: `serve run"):
        RayBackend("local", application="other").draw(pocket_call())
