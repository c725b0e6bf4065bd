"""A backend whose pictures begin from another picture."""

from __future__ import annotations

import threading
from collections.abc import Callable

from diffagent_tools.backends.protocol import Backend, Drawing, StepProgress
from tool_specs.calls import Call, starting_from


class StartedBackend:
    """Wraps any backend that can draw image-to-image: each call begins from one picture.

    Tools know nothing of it: where a drawing begins is the graph's business, not the planner's.
    """

    def __init__(self, backend: Backend, picture: str, strength: float) -> None:
        """Begin from the picture with this SHA-256, and draw the share `strength` of it anew."""
        self._backend = backend
        self._picture = picture
        self._strength = strength

    def draw(
        self,
        call: Call,
        *,
        on_step: Callable[[StepProgress], None] | None = None,
        cancel: threading.Event | None = None,
    ) -> Drawing:
        """Draw with the wrapped backend; see `Backend.draw`."""
        return self._backend.draw(starting_from(call, self._picture, self._strength), on_step=on_step, cancel=cancel)
