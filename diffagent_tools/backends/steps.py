"""What happens between two denoising steps."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from diffagent_tools.backends.protocol import StepProgress
from tool_specs.exceptions import DrawingCancelled

if TYPE_CHECKING:
    import threading


class Steps:
    """What happens after every denoising step: the listener is told, and who wants to stop is heard.

    Attributes:
        error: What the listener raised.
    """

    def __init__(self, on_step: Callable[[StepProgress], None] | None, cancel: threading.Event | None) -> None:
        """Tell `on_step`, until `cancel` is set."""
        self._on_step = on_step
        self._cancel = cancel
        self.error: Exception | None = None

    def __call__(self, step: int, total: int) -> None:
        """`step` of `total` are done."""
        if self._on_step is not None:
            try:
                self._on_step(StepProgress(step, total))
            except Exception as error:
                self.error = error
                raise
        if step < total:
            self.stop_if_asked(step)

    def stop_if_asked(self, step: int) -> None:
        """See that nobody wants to stop after `step` steps.

        Raises:
            DrawingCancelled: Somebody does.
        """
        if self._cancel is not None and self._cancel.is_set():
            msg = f"the drawing was cancelled after {step} steps"
            raise DrawingCancelled(msg)
