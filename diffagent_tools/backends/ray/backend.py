"""The backend that sends calls to the replicas of a Ray cluster."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from diffagent_tools.backends.batches import grouped, with_seed
from diffagent_tools.backends.pipelines import first_line
from diffagent_tools.backends.protocol import Drawing, StepProgress
from diffagent_tools.backends.ray.attempt import Attempt, ReplicaLost
from diffagent_tools.backends.ray.cluster import APPLICATION, DEFAULT_ADDRESS, application_handle, chosen_ray_address
from diffagent_tools.backends.ray.messages import Pictures, Pixels, ReplicaReport, Starts, image_of, pixels_of
from diffagent_tools.backends.steps import Steps
from tool_specs.exceptions import BackendError, ConfigError

if TYPE_CHECKING:
    from PIL.Image import Image
    from ray.serve.handle import DeploymentHandle

    from tool_specs.calls import Call

log = logging.getLogger(__name__)


class RayBackend:
    """Draws calls on the replicas of a Serve application.

    Many threads may draw at once: Serve spreads their calls, to replicas that have the checkpoint first. A call whose
    replica dies is drawn again by another one. Its seed is fixed before it is sent, so that this is the same picture.

    Setup: `ray start --head` on one node, `ray start --address=HEAD:6379` on the others, and on any of them
    `serve run --name diffagent diffagent_tools.backends.ray.app:app`. This process must run on a node as well.
    """

    def __init__(
        self,
        address: str | None = None,
        *,
        application: str = APPLICATION,
        pictures: Callable[[str], Image] | None = None,
        redraws: int = 3,
    ) -> None:
        """Set the backend up; the cluster is reached for the first picture.

        Args:
            address: Of the cluster, as `ray.init` takes it. Default: the environment variable `DIFFAGENT_RAY_ADDRESS`,
                else the cluster that this machine is a node of.
            application: Name of the Serve application.
            pictures: Gives the picture that a call begins from by its SHA-256: `ArtifactStore.load`. It is sent with
                the call. Without it, no image-to-image.
            redraws: How often a call is drawn again because its replica was lost.
        """
        self._address = address or chosen_ray_address() or DEFAULT_ADDRESS
        self._application = application
        self._store = pictures
        self._redraws = redraws
        self._reports: dict[str, ReplicaReport] = {}
        self._handle: DeploymentHandle | None = None
        self._lock = threading.Lock()

    @property
    def reports(self) -> list[ReplicaReport]:
        """The last report of each replica that drew for this backend, dead ones included."""
        with self._lock:
            return list(self._reports.values())

    def draw(
        self,
        call: Call,
        *,
        on_step: Callable[[StepProgress], None] | None = None,
        cancel: threading.Event | None = None,
    ) -> Drawing:
        """Draw one call on a replica; see `Backend.draw`.

        Args:
            call: What to draw; a seed of None means a random one.
            on_step: Called after every denoising step, in this thread; from the first one again where a replica was
                lost. What it raises ends the drawing and reaches the caller unchanged.
            cancel: Set it from any thread to stop before the next step.

        Raises:
            DiffAgentError: What the replica's backend raises.
            BackendError: No replica could draw the call.
            ConfigError: The cluster or the application on it cannot be reached.
            DrawingCancelled: `cancel` was set.
        """
        return self.draw_batch([call], on_step=on_step, cancel=cancel)[0]

    def draw_batch(
        self,
        calls: Sequence[Call],
        *,
        on_step: Callable[[StepProgress], None] | None = None,
        cancel: threading.Event | None = None,
    ) -> list[Drawing]:
        """Draw several calls, those of one checkpoint together on one replica; see `Backend.draw_batch`.

        Raises:
            DiffAgentError: As `draw`.
        """
        started = time.perf_counter()
        seeded = [with_seed(call) for call in calls]
        steps = Steps(on_step, cancel)
        steps.stop_if_asked(0)
        starts = {call.init_image: self._start(call.init_image) for call in seeded if call.init_image is not None}
        drawings: dict[int, Drawing] = {}
        for places in grouped(seeded, lambda call: call.checkpoint):
            found = self._pictures([seeded[place] for place in places], starts, steps)
            self._note(found.report)
            seconds = time.perf_counter() - started
            drawings |= {
                place: Drawing(image=image_of(pixels), call=call, seconds=seconds)
                for place, pixels, call in zip(places, found.pixels, found.calls, strict=True)
            }
        return [drawings[place] for place in range(len(calls))]

    def _note(self, report: ReplicaReport) -> None:
        with self._lock:
            known = self._reports.get(report.replica)
            if known is None or known.drawings < report.drawings:
                self._reports[report.replica] = report

    def _pictures(self, calls: Sequence[Call], starts: Starts, steps: Steps) -> Pictures:
        """The pictures of calls of one checkpoint."""
        checkpoint = calls[0].checkpoint
        replicas = self._replicas().options(stream=True, multiplexed_model_id=checkpoint)
        lost: list[ReplicaLost] = []
        while len(lost) <= self._redraws:
            try:
                return Attempt(replicas.draw.remote(list(calls), starts), checkpoint).pictures(steps)
            except ReplicaLost as error:
                log.warning("the replica that drew %s was lost (%s)", checkpoint, error)
                lost.append(error)
        msg = (
            f"drawing {checkpoint} failed: {len(lost)} replicas were lost while they drew it, the last one by "
            f"{first_line(lost[-1])}; look at `serve status` and the logs of the replicas"
        )
        raise BackendError(msg) from lost[-1]

    def _start(self, sha256: str) -> Pixels:
        """The picture that a call begins from."""
        if self._store is None:
            msg = (
                f"the call begins from the picture {sha256[:12]}…, but this backend knows no store: "
                "RayBackend(pictures=store.load)"
            )
            raise ConfigError(msg)
        return pixels_of(self._store(sha256))

    def _replicas(self) -> DeploymentHandle:
        """The replicas. One handle for all threads: each would learn by itself where the checkpoints are."""
        with self._lock:
            if self._handle is None:
                self._handle = application_handle(self._address, self._application)
            return self._handle
