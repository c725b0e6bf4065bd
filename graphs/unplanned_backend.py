"""A backend that draws what the graph has decided beside what the planner wrote."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence

from diffagent_tools.backends.protocol import Backend, Drawing, StepProgress
from tool_specs.calls import UNPLANNED_FIELDS, Call, parse_call

_FIELDS = (*UNPLANNED_FIELDS, "width", "height")
"""A refinement goes on at the size of the picture that it begins from."""


class UnplannedBackend:
    """Wraps any backend: each call begins from the picture, and has the second pass and the size, of another call.

    Tools know nothing of it: these are the graph's business, not the planner's.
    """

    def __init__(self, backend: Backend, decided: Mapping[str, object]) -> None:
        """Draw as `decided` says, a call in its JSON form."""
        self._backend = backend
        self._decided = {name: decided[name] for name in _FIELDS if name in decided}

    def draw(
        self,
        call: Call,
        *,
        on_step: Callable[[StepProgress], None] | None = None,
        cancel: threading.Event | None = None,
    ) -> Drawing:
        """Draw with the wrapped backend; see `Backend.draw`."""
        return self._backend.draw(self._complete(call), on_step=on_step, cancel=cancel)

    def draw_batch(
        self,
        calls: Sequence[Call],
        *,
        on_step: Callable[[StepProgress], None] | None = None,
        cancel: threading.Event | None = None,
    ) -> list[Drawing]:
        """Draw with the wrapped backend; see `Backend.draw_batch`."""
        return self._backend.draw_batch([self._complete(call) for call in calls], on_step=on_step, cancel=cancel)

    def _complete(self, call: Call) -> Call:
        return parse_call({**call.model_dump(), **self._decided})
