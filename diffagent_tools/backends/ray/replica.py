"""The replica: a Serve deployment that draws with the checkpoints that it has."""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import AsyncIterator, Callable
from contextvars import ContextVar
from typing import TYPE_CHECKING

from ray import serve

from diffagent_tools.backends.protocol import StepProgress
from diffagent_tools.backends.queued import QueuedBackend
from diffagent_tools.backends.ray.messages import (
    Message,
    Pictures,
    Refusal,
    ReplicaReport,
    Starts,
    image_of,
    pixels_of,
)
from diffagent_tools.backends.ray.replica_backend import ReplicaBackend
from diffagent_tools.backends.ray.sources import source_at
from tool_specs.exceptions import ArtifactError, BackendError, DiffAgentError

if TYPE_CHECKING:
    from PIL.Image import Image

    from diffagent_tools.backends.ray.options import RayOptions
    from tool_specs.calls import Call

_starts: ContextVar[Starts] = ContextVar("starts")
"""The pictures that the calls drawn in this thread begin from."""


class Replica:
    """Draws calls in the process of a Serve replica.

    Serve sends a call to a replica that has claimed its checkpoint, as long as that one takes calls on. The weights
    themselves are read by the first drawing.
    """

    def __init__(self, options: RayOptions) -> None:
        """Make the backend; nothing is loaded before the first picture.

        Raises:
            ConfigError: The backend cannot be made on this node.
        """
        backend = source_at(options.backend)(_start_picture)
        self._backend = ReplicaBackend(backend, max_failures=options.max_failures, max_silence_s=options.max_silence_s)
        self._queue = QueuedBackend(self._backend)
        self._id = serve.get_replica_context().replica_id.unique_id

        async def claim(spec_id: str) -> _Claim:
            return _Claim(spec_id, self._backend.claimed)

        # Not as a decorator: the number is an option.
        self._claim = serve.multiplexed(claim, max_num_models_per_replica=options.checkpoints_per_replica)

    def check_health(self) -> None:
        """Serve replaces a replica whose check fails three times in a row.

        Raises:
            BackendError: This replica no longer draws.
        """
        if (fault := self._backend.fault) is not None:
            msg = f"replica {self._id} is replaced: {fault}"
            raise BackendError(msg)

    async def draw(self, calls: list[Call], starts: Starts) -> AsyncIterator[Message]:
        """Draw calls of one checkpoint.

        Args:
            calls: What to draw, each with a seed.
            starts: The pictures that they begin from.

        Yields:
            Each step, then the pictures or the error that the calls end in.
        """
        await self._claim(calls[0].checkpoint)
        loop, messages = asyncio.get_running_loop(), asyncio.Queue[Message | None]()
        cancel = threading.Event()

        def tell(progress: StepProgress) -> None:
            loop.call_soon_threadsafe(messages.put_nowait, progress)

        drawing = asyncio.create_task(asyncio.to_thread(self._drawn, calls, starts, tell, cancel))
        drawing.add_done_callback(lambda _: messages.put_nowait(None))
        try:
            while (message := await messages.get()) is not None:
                yield message
            yield drawing.result()
        finally:
            # A caller that is gone or has cancelled ends this generator; the drawing must not go on without it.
            cancel.set()

    def _drawn(
        self, calls: list[Call], starts: Starts, on_step: Callable[[StepProgress], None], cancel: threading.Event
    ) -> Pictures | Refusal:
        _starts.set(starts)
        try:
            if len(calls) == 1:  # one call may share a drawing that is under way
                drawings = [self._queue.draw(calls[0], on_step=on_step, cancel=cancel)]
            else:
                drawings = self._queue.draw_batch(calls, on_step=on_step, cancel=cancel)
        except DiffAgentError as error:
            return Refusal(error)
        report = ReplicaReport(self._id, os.getpid(), self._backend.drawings, self._backend.hits)
        return Pictures([pixels_of(one.image) for one in drawings], [one.call for one in drawings], report)


class _Claim:
    """A checkpoint that Serve counts as this replica's, until it calls `__del__`."""

    def __init__(self, spec_id: str, claimed: set[str]) -> None:
        self._spec_id = spec_id
        self._claimed = claimed
        claimed.add(spec_id)

    def __del__(self) -> None:
        self._claimed.discard(self._spec_id)


def _start_picture(sha256: str) -> Image:
    pixels = _starts.get({}).get(sha256)
    if pixels is None:
        msg = f"the picture {sha256[:12]}… that the call begins from was not sent with it; use RayBackend(pictures=...)"
        raise ArtifactError(msg)
    return image_of(pixels)
