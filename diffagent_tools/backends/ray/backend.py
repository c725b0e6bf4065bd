"""The backend that sends calls to the replicas of a Ray cluster."""

from __future__ import annotations

import logging
import secrets
import threading
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from diffagent_tools.backends.pipelines import first_line
from diffagent_tools.backends.protocol import Drawing, StepProgress
from diffagent_tools.backends.ray.attempt import Attempt, ReplicaLost
from diffagent_tools.backends.ray.cluster import APPLICATION, DEFAULT_ADDRESS, application_handle, chosen_ray_address
from diffagent_tools.backends.ray.messages import Picture, Pixels, ReplicaReport, image_of, pixels_of
from diffagent_tools.backends.steps import Steps
from tool_specs.calls.seeds import MAX_SEED
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
        self._pictures = pictures
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
        started = time.perf_counter()
        if call.seed is None:
            call = call.model_copy(update={"seed": secrets.randbelow(MAX_SEED + 1)})
        steps = Steps(on_step, cancel)
        steps.stop_if_asked(0)
        picture = self._picture(call, self._start(call), steps)
        with self._lock:
            report, known = picture.report, self._reports.get(picture.report.replica)
            if known is None or known.drawings < report.drawings:
                self._reports[report.replica] = report
        return Drawing(image=image_of(picture.pixels), call=picture.call, seconds=time.perf_counter() - started)

    def _picture(self, call: Call, start: Pixels | None, steps: Steps) -> Picture:
        replicas = self._replicas().options(stream=True, multiplexed_model_id=call.checkpoint)
        lost: list[ReplicaLost] = []
        while len(lost) <= self._redraws:
            try:
                return Attempt(replicas.draw.remote(call, start), call).picture(steps)
            except ReplicaLost as error:
                log.warning("the replica that drew %s was lost (%s)", call.checkpoint, error)
                lost.append(error)
        msg = (
            f"drawing {call.checkpoint} failed: {len(lost)} replicas were lost while they drew it, the last one by "
            f"{first_line(lost[-1])}; look at `serve status` and the logs of the replicas"
        )
        raise BackendError(msg) from lost[-1]

    def _start(self, call: Call) -> Pixels | None:
        """The picture that a call begins from; None for text-to-image."""
        if call.init_image is None:
            return None
        if self._pictures is None:
            msg = (
                f"the call begins from the picture {call.init_image[:12]}…, but this backend knows no store: "
                "RayBackend(pictures=store.load)"
            )
            raise ConfigError(msg)
        return pixels_of(self._pictures(call.init_image))

    def _replicas(self) -> DeploymentHandle:
        """The replicas. One handle for all threads: each would learn by itself where the checkpoints are."""
        with self._lock:
            if self._handle is None:
                self._handle = application_handle(self._address, self._application)
            return self._handle
