"""A backend that tells the graph what it is doing and can be stopped from outside."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from functools import partial
from typing import TypeVar

from diffagent_tools.backends.protocol import Backend, Drawing, StepProgress
from tool_specs.calls import Call

OnStep = Callable[[StepProgress], None]
T = TypeVar("T")


class WatchedBackend:
    """Wraps any backend for the time of one drawing: reports its steps, passes on wishes to stop, keeps its fault.

    A tool turns a backend's exception into text for the planner. Whether the fault passes by itself can only be told
    from the exception, so it is kept here.

    Attributes:
        stop: Set it to stop this drawing between two steps.
        fault: What the last `draw` raised.
    """

    def __init__(self, backend: Backend, *, on_step: OnStep, cancel: threading.Event | None = None) -> None:
        """Report to `on_step`, from whatever thread the backend calls back; stop when `cancel` is set."""
        self.stop = threading.Event()
        self.fault: BaseException | None = None
        self._backend = backend
        self._on_step = on_step
        self._cancel = cancel

    def draw(self, call: Call, *, on_step: OnStep | None = None, cancel: threading.Event | None = None) -> Drawing:
        """Draw with the wrapped backend; see `Backend.draw`."""
        return self._watched(partial(self._backend.draw, call), on_step, cancel)

    def draw_batch(
        self, calls: Sequence[Call], *, on_step: OnStep | None = None, cancel: threading.Event | None = None
    ) -> list[Drawing]:
        """Draw with the wrapped backend; see `Backend.draw_batch`."""
        return self._watched(partial(self._backend.draw_batch, calls), on_step, cancel)

    def _watched(self, draw: Callable[..., T], on_step: OnStep | None, cancel: threading.Event | None) -> T:
        wishes = [event for event in (self._cancel, cancel) if event is not None]
        self.fault = None

        def report(progress: StepProgress) -> None:
            self._on_step(progress)
            if on_step is not None:
                on_step(progress)
            if any(wish.is_set() for wish in wishes):
                self.stop.set()

        try:
            return draw(on_step=report, cancel=self.stop)
        except BaseException as fault:
            self.fault = fault
            raise
