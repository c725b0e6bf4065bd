"""The two that are compared: the backend, and the script that a user of diffusers would write."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from types import MappingProxyType
from typing import TYPE_CHECKING, Final, Protocol

from diffagent_tools.backends import DiffusersBackend, QueuedBackend
from diffagent_tools.benchmarks.backend.worlds import World
from diffagent_tools.devices import torch_device
from tool_specs.calls import Call
from tool_specs.pipelines import PIPELINES

if TYPE_CHECKING:
    from diffusers import StableDiffusionPipeline


class Contender(Protocol):
    """Draws calls; the pictures are not looked at."""

    def draw(self, call: Call) -> None:
        """Draw a call."""

    def draw_together(self, calls: Sequence[Call]) -> None:
        """Draw calls that differ by their seeds alone."""

    def serve(self, calls: Sequence[Call]) -> None:
        """Draw calls that arrive all at once."""


class Ours:
    """`DiffusersBackend` behind `QueuedBackend`."""

    def __init__(self, world: World, *, compile_denoiser: bool = False) -> None:
        self.backend = DiffusersBackend(world.catalog, files=world.files, compile_denoiser=compile_denoiser)
        self._queued = QueuedBackend(self.backend)

    def draw(self, call: Call) -> None:
        """See `Contender`."""
        self._queued.draw(call)

    def draw_together(self, calls: Sequence[Call]) -> None:
        """See `Contender`."""
        self._queued.draw_batch(calls)

    def serve(self, calls: Sequence[Call]) -> None:
        """Each call in a thread of its own."""
        with ThreadPoolExecutor(len(calls)) as threads:
            list(threads.map(self._queued.draw, calls))


class PlainScript:
    """Loads the checkpoint and its LoRAs, and keeps the pipeline until another model is asked for."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._loaded: tuple[object, StableDiffusionPipeline] | None = None

    def draw(self, call: Call) -> None:
        """See `Contender`."""
        self.draw_together([call])

    def draw_together(self, calls: Sequence[Call]) -> None:
        """See `Contender`."""
        import torch

        first = calls[0]
        self._pipeline(first)(
            first.prompt,
            num_inference_steps=first.steps,
            guidance_scale=first.cfg_scale,
            width=first.width,
            height=first.height,
            num_images_per_prompt=len(calls),
            generator=[torch.Generator().manual_seed(call.seed or 0) for call in calls],
        )

    def serve(self, calls: Sequence[Call]) -> None:
        """One after another, as they came."""
        for call in calls:
            self.draw(call)

    def _pipeline(self, call: Call) -> StableDiffusionPipeline:
        model = call.checkpoint, call.loras
        if self._loaded is None or self._loaded[0] != model:
            self._loaded = None
            self._loaded = model, self._load(call)
        return self._loaded[1]

    def _load(self, call: Call) -> StableDiffusionPipeline:
        import diffusers
        import torch

        device = torch_device("auto")
        kind = getattr(diffusers, PIPELINES[call.family].text_to_image)
        pipeline = kind.from_single_file(
            self._file(call.checkpoint),
            config=str(self._world.config),
            local_files_only=True,
            torch_dtype=torch.float16 if device.type == "cuda" else torch.float32,
        ).to(device)
        settings = pipeline.scheduler.config
        pipeline.scheduler = diffusers.DPMSolverMultistepScheduler.from_config(settings, use_karras_sigmas=True)
        pipeline.set_progress_bar_config(disable=True)
        for use in call.loras:
            pipeline.load_lora_weights(self._file(use.id))
        return pipeline

    def _file(self, spec_id: str) -> str:
        return str(self._world.files(self._world.catalog.get(spec_id)))


CONTENDERS: Final[Mapping[str, Callable[[World], Contender]]] = MappingProxyType(
    {"ours": Ours, "compiled": partial(Ours, compile_denoiser=True), "plain": PlainScript}
)
"""`compiled` is ours with its denoiser compiled."""
