"""A backend that says how far it is to the graph in which it draws."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

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
        emit = emitter()

        def report(progress: StepProgress) -> None:
            emit({"event": "step", "model": call.checkpoint, "step": progress.step, "total": progress.total})
            if on_step is not None:
                on_step(progress)

        return self._backend.draw(call, on_step=report, cancel=cancel)
