"""A backend that puts waiting calls in an order in which models are loaded seldom, and draws equal calls once."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from diffagent_tools.backends.batches import grouped
from diffagent_tools.backends.protocol import Backend, Drawing, StepProgress
from tool_specs.exceptions import DrawingCancelled

if TYPE_CHECKING:
    from tool_specs.calls import Call

_CANCEL_SECONDS = 0.05
"""How often who waits looks whether it was cancelled."""


@dataclass(eq=False, slots=True)
class _Ticket:
    """A call that waits for its turn."""

    checkpoint: str
    overtaken: int = 0


@dataclass(eq=False, slots=True)
class _Shared:
    """A drawing that several callers wait for."""

    progress: StepProgress | None = None
    drawing: Drawing | None = None
    is_over: bool = False


@dataclass(slots=True)
class _Turns:
    """Whose turn it is; changed only by who holds the condition."""

    waiting: list[_Ticket] = field(default_factory=list)
    drawing: _Ticket | None = None
    latest: str | None = None
    """The checkpoint drawn with last, which the backend still has loaded."""


class QueuedBackend:
    """Wraps a backend that many threads share.

    Calls wait for their turn. Those for the checkpoint that drew last go first, so that a mixed run does not load a
    checkpoint for each call; none is overtaken more than `patience` times, so that none waits for ever. A call with a
    seed that equals one under way is not drawn again: it waits for that picture. Each caller's picture is its own.
    """

    def __init__(self, backend: Backend, *, patience: int = 16) -> None:
        """Draw with `backend`.

        Args:
            backend: Draws one call at a time.
            patience: How often a waiting call may be overtaken; 0 draws in the order of arrival.
        """
        self._backend = backend
        self._patience = patience
        self._turns = _Turns()
        self._shared: dict[Call, _Shared] = {}
        self._changed = threading.Condition()

    @property
    def waiting(self) -> int:
        """How many calls wait for their turn; those that share a drawing count once."""
        with self._changed:
            return len(self._turns.waiting)

    def draw(
        self,
        call: Call,
        *,
        on_step: Callable[[StepProgress], None] | None = None,
        cancel: threading.Event | None = None,
    ) -> Drawing:
        """Draw when it is this call's turn; see `Backend.draw`.

        `seconds` of the drawing include the wait. Whoever shares a drawing may miss steps of it.

        Raises:
            DiffAgentError: What the wrapped backend raises; a call that fails or is cancelled fails only its caller,
                and who shared the drawing draws it anew.
        """
        started = time.perf_counter()
        draw = self._draw_in_turn if call.seed is None else self._drawn_once
        drawing = draw(call, on_step, cancel)
        return Drawing(image=drawing.image, call=drawing.call, seconds=time.perf_counter() - started)

    def draw_batch(
        self,
        calls: Sequence[Call],
        *,
        on_step: Callable[[StepProgress], None] | None = None,
        cancel: threading.Event | None = None,
    ) -> list[Drawing]:
        """Draw several calls; see `Backend.draw_batch`.

        Those of one checkpoint are one turn. They do not share drawings that are under way.

        Raises:
            DiffAgentError: What the wrapped backend raises.
        """
        started = time.perf_counter()
        drawings: dict[int, Drawing] = {}
        for places in grouped(calls, lambda call: call.checkpoint):
            chosen = [calls[place] for place in places]
            with self._turn(chosen[0].checkpoint, cancel):
                drawn = self._backend.draw_batch(chosen, on_step=on_step, cancel=cancel)
            seconds = time.perf_counter() - started
            drawings |= {place: replace(one, seconds=seconds) for place, one in zip(places, drawn, strict=True)}
        return [drawings[place] for place in range(len(calls))]

    def _drawn_once(
        self, call: Call, on_step: Callable[[StepProgress], None] | None, cancel: threading.Event | None
    ) -> Drawing:
        while True:
            with self._changed:
                under_way = self._shared.get(call)
                mine = self._shared.setdefault(call, _Shared())
            if under_way is None:
                return self._draw_for_all(call, mine, on_step, cancel)
            drawing = self._await(under_way, on_step, cancel)
            if drawing is not None:
                return Drawing(image=drawing.image.copy(), call=drawing.call, seconds=drawing.seconds)

    def _draw_for_all(
        self,
        call: Call,
        shared: _Shared,
        on_step: Callable[[StepProgress], None] | None,
        cancel: threading.Event | None,
    ) -> Drawing:
        def tell(progress: StepProgress) -> None:
            with self._changed:
                shared.progress = progress
                self._changed.notify_all()
            if on_step is not None:
                on_step(progress)

        drawing = None
        try:
            drawing = self._draw_in_turn(call, tell, cancel)
            # The others get copies, also of what this caller may change in the meantime.
            kept = Drawing(image=drawing.image.copy(), call=drawing.call, seconds=drawing.seconds)
        finally:
            with self._changed:
                shared.drawing = None if drawing is None else kept
                shared.is_over = True
                del self._shared[call]
                self._changed.notify_all()
        return drawing

    def _await(
        self, shared: _Shared, on_step: Callable[[StepProgress], None] | None, cancel: threading.Event | None
    ) -> Drawing | None:
        """The drawing of another caller; None where that one failed."""
        told: StepProgress | None = None
        while True:
            with self._changed:
                if not shared.is_over and shared.progress is told:
                    self._changed.wait(timeout=_CANCEL_SECONDS)
                latest, is_over = shared.progress, shared.is_over
            _stop_if_asked(cancel)
            if on_step is not None and latest is not None and latest is not told:
                on_step(latest)
            told = latest
            if is_over:
                return shared.drawing

    def _draw_in_turn(
        self, call: Call, on_step: Callable[[StepProgress], None] | None, cancel: threading.Event | None
    ) -> Drawing:
        with self._turn(call.checkpoint, cancel):
            return self._backend.draw(call, on_step=on_step, cancel=cancel)

    @contextmanager
    def _turn(self, checkpoint: str, cancel: threading.Event | None) -> Iterator[None]:
        """Wait until nobody else draws and this call is the next."""
        ticket, turns = _Ticket(checkpoint), self._turns
        with self._changed:
            turns.waiting.append(ticket)
            try:
                while not (turns.drawing is None and self._next() is ticket):
                    _stop_if_asked(cancel)
                    self._changed.wait(timeout=_CANCEL_SECONDS if cancel is not None else None)
            except BaseException:
                turns.waiting.remove(ticket)
                self._changed.notify_all()
                raise
            place = turns.waiting.index(ticket)
            for earlier in turns.waiting[:place]:
                earlier.overtaken += 1
            del turns.waiting[place]
            turns.drawing, turns.latest = ticket, checkpoint
        try:
            yield
        finally:
            with self._changed:
                turns.drawing = None
                self._changed.notify_all()

    def _next(self) -> _Ticket:
        """Who draws next: the oldest when its patience is at an end, else the oldest for the checkpoint drawn with."""
        oldest = self._turns.waiting[0]
        if oldest.overtaken >= self._patience:
            return oldest
        return next((one for one in self._turns.waiting if one.checkpoint == self._turns.latest), oldest)


def _stop_if_asked(cancel: threading.Event | None) -> None:
    if cancel is not None and cancel.is_set():
        msg = "the drawing was cancelled while it waited"
        raise DrawingCancelled(msg)
