"""A backend that says how far it is to the graph in which it draws."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from diffagent_tools.backends.batches import grouped
from diffagent_tools.backends.protocol import Backend, Drawing, StepProgress
from diffagent_tools.progress import emitter

if TYPE_CHECKING:
    import threading

    from tool_specs.calls import Call


class ReportedBackend:
    """Wraps any backend: each step goes to the graph's stream as `{"event": "step", "model", "step", "total"}`.

    Outside a graph it draws as the wrapped backend does.
    """

    def __init__(self, backend: Backend) -> None:
        """Draw with `backend`."""
        self._backend = backend

    def draw(
        self,
        call: Call,
        *,
        on_step: Callable[[StepProgress], None] | None = None,
        cancel: threading.Event | None = None,
    ) -> Drawing:
        """Draw with the wrapped backend; see `Backend.draw`."""
        return self._backend.draw(call, on_step=_reporting(call, on_step), cancel=cancel)

    def draw_batch(
        self,
        calls: Sequence[Call],
        *,
        on_step: Callable[[StepProgress], None] | None = None,
        cancel: threading.Event | None = None,
    ) -> list[Drawing]:
        """Draw with the wrapped backend, one checkpoint after another so that steps name theirs."""
        drawings: dict[int, Drawing] = {}
        for places in grouped(calls, lambda call: call.checkpoint):
            chosen = [calls[place] for place in places]
            drawn = self._backend.draw_batch(chosen, on_step=_reporting(chosen[0], on_step), cancel=cancel)
            drawings.update(zip(places, drawn, strict=True))
        return [drawings[place] for place in range(len(calls))]


def _reporting(call: Call, on_step: Callable[[StepProgress], None] | None) -> Callable[[StepProgress], None]:
    """A listener that tells the graph's stream, and then another one."""
    emit = emitter()

    def report(progress: StepProgress) -> None:
        emit({"event": "step", "model": call.checkpoint, "step": progress.step, "total": progress.total})
        if on_step is not None:
            on_step(progress)

    return report
