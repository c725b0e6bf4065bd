"""One attempt of one replica at some calls."""

from __future__ import annotations

import queue
import threading
from typing import TYPE_CHECKING

from diffagent_tools.backends.pipelines import first_line
from diffagent_tools.backends.protocol import StepProgress
from diffagent_tools.backends.ray.messages import Message, Pictures, Refusal
from tool_specs.exceptions import BackendError

if TYPE_CHECKING:
    from ray.serve.handle import DeploymentResponseGenerator

    from diffagent_tools.backends.steps import Steps

_CANCEL_SECONDS = 0.02
"""How often who waits looks whether it was cancelled."""


class ReplicaLost(Exception):  # noqa: N818 - an event that the caller answers, as `DrawingCancelled`
    """The replica died, or its node did, before its picture arrived."""


class Attempt:
    """The messages of a replica as they come.

    They are received in a thread of their own: Serve's iterator cannot be interrupted, nor used where an event loop
    runs.
    """

    def __init__(self, response: DeploymentResponseGenerator, checkpoint: str) -> None:
        """Begin to receive `response`, the answer to calls of `checkpoint`."""
        self._response = response
        self._checkpoint = checkpoint
        self._received: queue.SimpleQueue[Message | Exception] = queue.SimpleQueue()
        threading.Thread(target=self._receive, name="diffagent-ray", daemon=True).start()

    def pictures(self, steps: Steps) -> Pictures:
        """Wait for the pictures.

        Args:
            steps: Is told of every step, and asked whether to go on.

        Raises:
            ReplicaLost: The replica died.
            DiffAgentError: What the calls ended in.
        """
        is_over, done = False, 0
        try:
            while True:
                steps.stop_if_asked(done)
                try:
                    message = self._received.get(timeout=_CANCEL_SECONDS)
                except queue.Empty:
                    continue
                is_over = not isinstance(message, StepProgress | ReplicaLost)
                if isinstance(message, Pictures):
                    return message
                if isinstance(message, Refusal):
                    raise message.error
                if isinstance(message, Exception):
                    raise message
                done = message.step
                steps(message.step, message.total)
        finally:
            if not is_over:
                self._response.cancel()

    def _receive(self) -> None:
        try:
            for message in self._response:
                self._received.put(message)
            self._received.put(ReplicaLost("it sent no picture"))
        except BaseException as error:  # noqa: BLE001 - the thread that waits raises it
            self._received.put(self._explained(error))

    def _explained(self, error: BaseException) -> Exception:
        from ray.exceptions import ObjectLostError, RayActorError, TaskCancelledError, WorkerCrashedError
        from ray.serve.exceptions import ReplicaUnavailableError

        lost = (RayActorError, ObjectLostError, TaskCancelledError, WorkerCrashedError, ReplicaUnavailableError)
        if isinstance(error, lost):
            return ReplicaLost(f"{type(error).__name__}: {first_line(error)}")
        # What the replica's own code raised is inside, under a traceback.
        cause = getattr(error, "cause", None) or error
        failed = BackendError(
            f"drawing {self._checkpoint} failed on a replica: {type(cause).__name__}: {first_line(cause)}"
        )
        failed.__cause__ = error
        return failed
