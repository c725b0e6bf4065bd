"""The interface of every backend."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, runtime_checkable

if TYPE_CHECKING:
    import threading

    from PIL.Image import Image

    from tool_specs.calls import Call


@dataclass(frozen=True, slots=True)
class StepProgress:
    """How far a drawing is: `step` of `total` denoising steps are done."""

    step: int
    total: int


@dataclass(frozen=True, slots=True)
class Drawing:
    """A finished picture.

    Attributes:
        image: RGB.
        call: The call that draws this picture again: the given one with its seed filled in.
        seconds: Wall time from the call to the image, loading included.
    """

    image: Image
    call: Call
    seconds: float


@runtime_checkable
class Backend(Protocol):
    """Draws calls. Safe to share between threads.

    A subclass needs `draw` alone.
    """

    def draw(
        self,
        call: Call,
        *,
        on_step: Callable[[StepProgress], None] | None = None,
        cancel: threading.Event | None = None,
    ) -> Drawing:
        """Draw one call.

        Args:
            call: What to draw; a seed of None means a random one.
            on_step: Called after every denoising step, in the drawing thread.
            cancel: Set it from any thread to stop before the next step.

        Raises:
            CallError: The call names a model that does not exist or does not fit.
            WeightsError: A weights file is missing, damaged, pickled or of another architecture.
            BackendError: Drawing failed on the machine.
            DrawingCancelled: `cancel` was set.
        """
        ...

    def draw_batch(
        self,
        calls: Sequence[Call],
        *,
        on_step: Callable[[StepProgress], None] | None = None,
        cancel: threading.Event | None = None,
    ) -> list[Drawing]:
        """Draw several calls, those that differ by their seeds alone together where the backend can.

        By default one after another.

        Args:
            calls: What to draw, in any order.
            on_step: Called after every denoising step; the steps begin anew with every pass.
            cancel: Set it from any thread to stop before the next step.

        Returns:
            The drawings in the order of the calls.

        Raises:
            DiffAgentError: As `draw`. One call that cannot be drawn ends the batch, and its other pictures are lost.
        """
        return [self.draw(call, on_step=on_step, cancel=cancel) for call in calls]
