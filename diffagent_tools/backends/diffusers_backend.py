"""Drawing with diffusers in this process, on the CPU or on CUDA."""

from __future__ import annotations

import gc
import logging
import secrets
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final, cast

from diffagent_tools.backends.checkpoints import LoadedCheckpoint
from diffagent_tools.backends.networks import FileStamp, Network, check_networks
from diffagent_tools.backends.pipelines import check_call, first_line, out_of_memory, pipeline_kind
from diffagent_tools.backends.protocol import Drawing, StepProgress
from diffagent_tools.backends.steps import Steps
from diffagent_tools.devices import fitting_threads, require, torch_device
from tool_specs.calls import MAX_SEED, Call
from tool_specs.compatibility import compatible
from tool_specs.configs import config_of
from tool_specs.exceptions import (
    BackendError,
    CallError,
    CatalogError,
    ConfigError,
    DiffAgentError,
    WeightsError,
)
from tool_specs.pocket import pocket_file
from tool_specs.spec import ToolSpec

if TYPE_CHECKING:
    import torch
    from PIL.Image import Image

    from tool_specs.catalog import AnyCatalog

log = logging.getLogger(__name__)

KEPT_BYTES: Final = 4 * 2**30
"""Checkpoints stay loaded while their weights together are smaller than this; the latest one always stays."""


def shipped_file(spec: ToolSpec) -> Path:
    """The weights file of a model that ships inside the package.

    Raises:
        WeightsError: The model does not ship with the package.
    """
    if spec.family != "pocket" or spec.primary_file is None:
        msg = f"the weights of {spec.id} ({spec.model_name}) are not on this machine; tell the backend where: files=..."
        raise WeightsError(msg)
    return pocket_file(spec.primary_file.name)


@dataclass(frozen=True, slots=True)
class _Job:
    """A checked call with everything that it names."""

    call: Call
    checkpoint: ToolSpec
    networks: Sequence[Network]
    start: Image | None
    after_step: Steps


class DiffusersBackend:
    """Draws calls with diffusers.

    A checkpoint is loaded once and stays; networks come and go, and its weights are then what they were, to the last
    bit. On one machine the same call with the same seed gives the same bytes. One picture is drawn at a time: calls
    from several threads wait for each other.
    """

    def __init__(
        self,
        catalog: AnyCatalog,
        *,
        device: str = "auto",
        files: Callable[[ToolSpec], Path] = shipped_file,
        configs: Mapping[str, Path] | None = None,
        pictures: Callable[[str], Image] | None = None,
    ) -> None:
        """Set the backend up; nothing is loaded before the first picture.

        Args:
            catalog: Where the ids of a call are looked up.
            device: "auto" is CUDA where there is any, else the CPU. Precision is the family's on CUDA, float32
                elsewhere.
            files: Gives the weights file of a spec.
            configs: Family name to its diffusers configuration folder, for families whose folder would otherwise come
                from the model hub.
            pictures: Gives the picture that a call begins from by its SHA-256: `ArtifactStore.load`. Without it, no
                image-to-image.
        """
        self._catalog = catalog
        self._device_name = device
        self._files = files
        self._configs = dict(configs or {})
        self._pictures = pictures
        self._checkpoints: dict[FileStamp, LoadedCheckpoint] = {}
        self._checkpoint_loads = 0
        self._lock = threading.Lock()

    @property
    def loaded(self) -> dict[str, tuple[str, ...]]:
        """Spec ids of the loaded checkpoints, least recently used first, each with the LoRAs loaded into it."""
        return {checkpoint.spec.id: checkpoint.lora_ids for checkpoint in list(self._checkpoints.values())}

    @property
    def checkpoint_loads(self) -> int:
        """How many times a checkpoint was read from its file so far."""
        return self._checkpoint_loads

    def unload(self, spec_id: str) -> None:
        """Give the memory of a checkpoint back; nothing happens where it is not loaded.

        Args:
            spec_id: Of the checkpoint. Not while another thread draws.
        """
        for stamp, loaded in list(self._checkpoints.items()):
            if loaded.spec.id == spec_id:
                del self._checkpoints[stamp]

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
            on_step: Called after every denoising step, in the drawing thread, from the first one again where memory ran
                out; what it raises ends the drawing and reaches the caller unchanged.
            cancel: Set it from any thread to stop before the next step.

        Raises:
            CallError: The call names a model that does not exist or does not fit.
            WeightsError: A weights file is missing, damaged, pickled or of another architecture.
            BackendError: Drawing failed on the machine.
            ArtifactError: The picture that the call begins from is not in the store.
            ConfigError: A library of the `local` extra, the device, or the store to begin from is missing.
            DrawingCancelled: `cancel` was set.
        """
        started = time.perf_counter()
        if call.seed is None:
            call = call.model_copy(update={"seed": secrets.randbelow(MAX_SEED + 1)})
        checkpoint = self._spec(call.checkpoint)
        networks = self._networks(call, checkpoint)
        job = _Job(call, checkpoint, networks, self._start(call), Steps(on_step, cancel))
        with self._lock:
            job.after_step.stop_if_asked(0)
            require("torch", "diffusers", "transformers", "peft")
            image = self._attempt(job, frugal=False) or self._attempt(job, frugal=True)
        return Drawing(image=cast("Image", image), call=call, seconds=time.perf_counter() - started)

    def _attempt(self, job: _Job, *, frugal: bool) -> Image | None:
        """The picture; None where memory ran out and less of it may do.

        Args:
            job: What to draw.
            frugal: Whether to draw with no other checkpoint loaded and the VAE in tiles.
        """
        if frugal:
            # Not earlier: only when the exception is gone do its frames let go of the memory.
            self._unload()
        device = torch_device(self._device_name)
        stamp = FileStamp.of(self._files(job.checkpoint))
        try:
            loaded = self._load(job.checkpoint, stamp, device)
            if frugal:
                loaded.save_memory()
            job.after_step.stop_if_asked(0)
            with fitting_threads(loaded.parameters):
                return loaded.draw(job.call, job.networks, job.start, _noise_source(job.call), job.after_step)
        except DiffAgentError:
            raise
        except BaseException as error:
            if error is job.after_step.error:
                raise
            # A pipeline that was interrupted or failed anywhere may be in any state.
            self._checkpoints.pop(stamp, None)
            if not isinstance(error, Exception):
                raise
            if frugal or not out_of_memory(error):
                raise self._explained(error, job.call) from error
            log.warning(
                "out of memory while drawing %s at %dx%d (%s): drawn again with no other checkpoint loaded and the VAE "
                "in tiles",
                *(job.call.checkpoint, *job.call.final_size, first_line(error)),
            )
        return None

    def _spec(self, spec_id: str) -> ToolSpec:
        try:
            return self._catalog.get(spec_id)
        except CatalogError as error:
            raise CallError(str(error)) from error

    def _networks(self, call: Call, checkpoint: ToolSpec) -> Sequence[Network]:
        """The call's networks with their files, after checking that everything fits together."""
        pipeline_kind(checkpoint)
        if not checkpoint.is_checkpoint:
            msg = f"{checkpoint.id} ({checkpoint.model_name}) is a {checkpoint.type}; a call draws with a Checkpoint"
            raise CallError(msg)
        if call.family != checkpoint.family:
            msg = (
                f"the call is for {call.family!r}, but {checkpoint.id} is {checkpoint.family!r}; use that family's call"
            )
            raise CallError(msg)
        check_call(call, checkpoint)
        networks = []
        for use in call.loras:
            network = self._spec(use.id)
            fit = compatible(network, checkpoint)
            if not fit.ok:
                msg = f"{network.id} does not load into {checkpoint.id}: {fit.reason}"
                raise CallError(msg)
            networks.append(Network(network, self._files(network), use.weight))
        check_networks(networks, checkpoint)
        return networks

    def _start(self, call: Call) -> Image | None:
        """The picture that a call begins from; None for text-to-image."""
        if call.init_image is None:
            return None
        if self._pictures is None:
            msg = (
                f"the call begins from the picture {call.init_image[:12]}…, but this backend knows no store: "
                "DiffusersBackend(catalog, pictures=store.load)"
            )
            raise ConfigError(msg)
        return self._pictures(call.init_image)

    def _load(self, checkpoint: ToolSpec, stamp: FileStamp, device: torch.device) -> LoadedCheckpoint:
        """The loaded checkpoint; the least recently used ones make room for it."""
        loaded = self._checkpoints.pop(stamp, None)
        if loaded is None:
            config = self._configs.get(checkpoint.family) or config_of(checkpoint)
            loaded = self._read(checkpoint, stamp.path, config, device)
        self._checkpoints[stamp] = loaded
        while len(self._checkpoints) > 1 and sum(each.size for each in self._checkpoints.values()) > KEPT_BYTES:
            del self._checkpoints[next(iter(self._checkpoints))]
        return loaded

    def _read(self, checkpoint: ToolSpec, path: Path, config: Path | str, device: torch.device) -> LoadedCheckpoint:
        import torch

        dtype = getattr(torch, pipeline_kind(checkpoint).dtype) if device.type == "cuda" else torch.float32
        loaded = LoadedCheckpoint(checkpoint, path, config=config, device=device, dtype=dtype)
        self._checkpoint_loads += 1
        return loaded

    def _unload(self) -> None:
        """Give the memory of all checkpoints back."""
        import torch

        self._checkpoints.clear()
        gc.collect()
        if torch.cuda.is_available():
            torch.cuda.empty_cache()

    def _explained(self, error: Exception, call: Call) -> BackendError:
        """The one line that a person can act on."""
        if out_of_memory(error):
            self._unload()
            return BackendError(
                f"out of memory while drawing {call.checkpoint} at {call.width}x{call.height} (device "
                f"{self._device_name!r}); draw smaller, or close what else uses the memory"
            )
        log.debug("drawing %s failed", call.checkpoint, exc_info=error)
        return BackendError(
            f"drawing {call.checkpoint} with {call.sampler}, {call.steps} steps at {call.width}x{call.height} failed: "
            f"{type(error).__name__}: {first_line(error)}"
        )


def _noise_source(call: Call) -> torch.Generator:
    """A generator on the CPU, so that a seed starts from the same noise on every device."""
    import torch

    return torch.Generator("cpu").manual_seed(call.seed or 0)
