"""What the graph puts around a backend, for several calls at once."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence

import pytest
from PIL import Image

from diffagent_tools.backends import Backend, Drawing, StepProgress
from graphs.watched_backend import WatchedBackend
from tool_specs.calls import Call, PocketCall
from tool_specs.exceptions import BackendError, DrawingCancelled

CALLS = [PocketCall(checkpoint="civitai:1@101", prompt="a fox", steps=2, seed=seed) for seed in (1, 2)]


class PlainBackend:
    """Draws grey pictures, two steps for all of them; the seed 13 fails."""

    def draw(self, call: Call, **others: object) -> Drawing:
        raise NotImplementedError

    def draw_batch(
        self,
        calls: Sequence[Call],
        *,
        on_step: Callable[[StepProgress], None] | None = None,
        cancel: threading.Event | None = None,
    ) -> list[Drawing]:
        for step in (1, 2):
            if cancel is not None and cancel.is_set():
                msg = f"stopped before step {step}"
                raise DrawingCancelled(msg)
            assert on_step is not None
            on_step(StepProgress(step, 2))
        if any(call.seed == 13 for call in calls):
            msg = "the thirteenth"
            raise BackendError(msg)
        return [Drawing(Image.new("RGB", (call.width, call.height)), call, 0.0) for call in calls]


def test_steps_are_reported_and_a_fault_is_kept() -> None:
    steps: list[StepProgress] = []
    backend = WatchedBackend(PlainBackend(), on_step=steps.append)
    assert [one.call for one in backend.draw_batch(CALLS)] == CALLS
    assert steps == [StepProgress(1, 2), StepProgress(2, 2)]
    with pytest.raises(BackendError) as caught:
        backend.draw_batch([CALLS[0].model_copy(update={"seed": 13})])
    assert backend.fault is caught.value
    assert isinstance(backend, Backend)


def test_a_wish_to_stop_reaches_the_backend() -> None:
    wish = threading.Event()
    backend = WatchedBackend(PlainBackend(), on_step=lambda progress: wish.set())
    with pytest.raises(DrawingCancelled, match="before step 2"):
        backend.draw_batch(CALLS, cancel=wish)
