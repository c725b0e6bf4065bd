"""The backend inside a replica: it keeps what Serve counts as the replica's, and knows whether it still draws."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from diffagent_tools.backends.protocol import Drawing, StepProgress
from tool_specs.exceptions import BackendError, ServerError, WeightsError

if TYPE_CHECKING:
    import threading

    from diffagent_tools.backends.diffusers_backend import DiffusersBackend
    from tool_specs.calls import Call

_NOT_THE_MACHINE = (WeightsError, ServerError)
"""Backend errors about a file or a server: another replica would fail just so."""


class ReplicaBackend:
    """Wraps a `DiffusersBackend` that draws one call at a time.

    Attributes:
        claimed: Ids of the checkpoints that Serve counts as this replica's, and sends calls for. Others are unloaded
            before the next drawing.
        drawings: Pictures drawn.
        hits: Those of them whose checkpoint was loaded already.
    """

    def __init__(self, backend: DiffusersBackend, *, max_failures: int, max_silence_s: float) -> None:
        """Draw with `backend`.

        Args:
            backend: Draws.
            max_failures: Drawings in a row that fail on the machine before the backend counts as broken.
            max_silence_s: Longest time without a step while it draws.
        """
        self.claimed: set[str] = set()
        self.drawings = 0
        self.hits = 0
        self._backend = backend
        self._max_failures = max_failures
        self._max_silence_s = max_silence_s
        self._failures = 0
        self._last_sign: float | None = None
        """When the drawing under way was last heard of; None between drawings."""

    @property
    def fault(self) -> str | None:
        """Why this replica should be replaced; None while it is sound."""
        if self._failures >= self._max_failures:
            return f"the last {self._failures} drawings failed on this machine"
        last_sign = self._last_sign
        if last_sign is not None and time.monotonic() - last_sign > self._max_silence_s:
            return f"the drawing under way has made no step for {self._max_silence_s:g} seconds"
        return None

    def draw(
        self,
        call: Call,
        *,
        on_step: Callable[[StepProgress], None] | None = None,
        cancel: threading.Event | None = None,
    ) -> Drawing:
        """Draw one call; see `Backend.draw`."""
        return self.draw_batch([call], on_step=on_step, cancel=cancel)[0]

    def draw_batch(
        self,
        calls: Sequence[Call],
        *,
        on_step: Callable[[StepProgress], None] | None = None,
        cancel: threading.Event | None = None,
    ) -> list[Drawing]:
        """Draw calls of one checkpoint; see `Backend.draw_batch`."""

        def tell(progress: StepProgress) -> None:
            self._last_sign = time.monotonic()
            if on_step is not None:
                on_step(progress)

        checkpoint = calls[0].checkpoint
        for spec_id in self._backend.loaded.keys() - self.claimed - {checkpoint}:
            self._backend.unload(spec_id)
        was_loaded = checkpoint in self._backend.loaded
        self._last_sign = time.monotonic()
        try:
            drawings = self._backend.draw_batch(calls, on_step=tell, cancel=cancel)
        except BackendError as error:
            self._failures += not isinstance(error, _NOT_THE_MACHINE)
            raise
        finally:
            self._last_sign = None
        self._failures = 0
        self.drawings += len(calls)
        self.hits += len(calls) if was_loaded else len(calls) - 1
        return drawings
