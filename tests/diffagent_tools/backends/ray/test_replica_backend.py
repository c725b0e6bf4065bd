"""What a replica's backend keeps, counts and says of itself; no Ray is needed for it."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import cast

import pytest
from PIL import Image

from diffagent_tools.backends.diffusers_backend import DiffusersBackend
from diffagent_tools.backends.protocol import Drawing, StepProgress
from diffagent_tools.backends.ray.replica_backend import ReplicaBackend
from tests.diffagent_tools.conftest import Studio
from tests.ray_cluster import pocket_call
from tool_specs.calls import Call, PocketCall
from tool_specs.exceptions import BackendError, CallError, DownloadError, DrawingCancelled, WeightsError

GOOD = pocket_call()


class Drawn:
    """A backend that has nothing loaded, and raises what it is told to."""

    def __init__(self) -> None:
        self.loaded: dict[str, tuple[str, ...]] = {}
        self.error: Exception | None = None
        self.while_drawing: Callable[[], None] = lambda: None

    def draw_batch(
        self, calls: Sequence[Call], *, on_step: Callable[[StepProgress], None], cancel: object
    ) -> list[Drawing]:
        self.while_drawing()
        on_step(StepProgress(1, 1))
        if self.error is not None:
            raise self.error
        return [Drawing(Image.new("RGB", (8, 8)), call, 0.0) for call in calls]


def replica_of(drawn: Drawn, *, max_silence_s: float = 60) -> ReplicaBackend:
    return ReplicaBackend(cast("DiffusersBackend", drawn), max_failures=2, max_silence_s=max_silence_s)


def draw(replica: ReplicaBackend, drawn: Drawn, error: Exception | None) -> None:
    drawn.error = error
    if error is None:
        replica.draw(GOOD)
        return
    with pytest.raises(type(error)):
        replica.draw(GOOD)


def test_failures_in_a_row_are_a_fault() -> None:
    drawn = Drawn()
    replica = replica_of(drawn)
    for error in (BackendError("x"), None, BackendError("x")):
        draw(replica, drawn, error)
        assert replica.fault is None
    draw(replica, drawn, BackendError("x"))
    assert replica.fault == "the last 2 drawings failed on this machine"


@pytest.mark.parametrize(
    "error", [CallError("x"), WeightsError("x"), DownloadError("x", status=403), DrawingCancelled("x")]
)
def test_what_is_not_the_machines_doing_is_no_fault(error: Exception) -> None:
    drawn = Drawn()
    replica = replica_of(drawn)
    for _ in range(4):
        draw(replica, drawn, error)
    assert replica.fault is None


def test_a_drawing_without_steps_is_a_fault() -> None:
    drawn = Drawn()
    replica = replica_of(drawn, max_silence_s=0.01)
    faults: list[str | None] = []

    def hang() -> None:
        faults.append(replica.fault)
        time.sleep(0.05)
        faults.append(replica.fault)

    drawn.while_drawing = hang
    replica.draw(GOOD)
    assert faults == [None, "the drawing under way has made no step for 0.01 seconds"]
    assert replica.fault is None


def test_it_counts_who_found_the_checkpoint_loaded_and_unloads_what_is_not_claimed(studio: Studio) -> None:
    backend = studio.backend()
    replica = ReplicaBackend(backend, max_failures=1, max_silence_s=60)
    first, second = studio.checkpoints

    def drawn(checkpoint: str) -> tuple[int, int, set[str]]:
        replica.draw(
            PocketCall.model_validate(
                {"checkpoint": checkpoint, "prompt": "a fox", "steps": 1, "width": 32, "height": 32, "seed": 1}
            )
        )
        return replica.drawings, replica.hits, set(backend.loaded)

    replica.claimed |= {first, second}
    assert drawn(first) == (1, 0, {first})
    assert drawn(first) == (2, 1, {first})
    assert drawn(second) == (3, 1, {first, second})
    replica.claimed.discard(first)
    assert drawn(second) == (4, 2, {second})
    # Drawn although it is no longer claimed, for a call that was taken on before; it goes with the next call.
    assert drawn(first) == (5, 2, {second, first})
    assert drawn(second) == (6, 3, {second})
