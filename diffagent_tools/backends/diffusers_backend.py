"""Drawing with diffusers in this process, on the CPU or on CUDA."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from diffagent_tools.backends.batches import passes, with_seed
from diffagent_tools.backends.checked_calls import CallCheck
from diffagent_tools.backends.engine import DiffusersEngine
from diffagent_tools.backends.memory import MemoryBudget
from diffagent_tools.backends.protocol import Drawing, StepProgress
from diffagent_tools.backends.steps import Steps
from diffagent_tools.devices import require, torch_device
from tool_specs.calls import Call
from tool_specs.exceptions import WeightsError
from tool_specs.pocket import pocket_file
from tool_specs.spec import ToolSpec

if TYPE_CHECKING:
    from PIL.Image import Image

    from tool_specs.catalog import AnyCatalog


def shipped_file(spec: ToolSpec) -> Path:
    """The weights file of a model that ships inside the package.

    Raises:
        WeightsError: The model does not ship with the package.
    """
    if spec.family != "pocket" or spec.primary_file is None:
        msg = f"the weights of {spec.id} ({spec.model_name}) are not on this machine; tell the backend where: files=..."
        raise WeightsError(msg)
    return pocket_file(spec.primary_file.name)


class DiffusersBackend:
    """Draws calls with diffusers.

    Checkpoints stay loaded within a budget of memory; networks come and go, and the weights are then what they were, to
    the last bit. On one machine the same call with the same seed gives the same bytes. One pass is drawn at a time:
    calls from several threads wait for each other.
    """

    def __init__(
        self,
        catalog: AnyCatalog,
        *,
        device: str = "auto",
        files: Callable[[ToolSpec], Path] = shipped_file,
        configs: Mapping[str, Path] | None = None,
        pictures: Callable[[str], Image] | None = None,
        memory: MemoryBudget | None = None,
        compile_denoiser: bool = False,
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
            memory: What loaded checkpoints may take; a part of what is free by default.
            compile_denoiser: Compile the repeated blocks of the UNet or the transformer with `torch.compile`. The first
                picture of each checkpoint, and of each set of LoRAs, then takes up to a minute longer, those after it
                less, and all differ from uncompiled ones by rounding.
        """
        self._check = CallCheck(catalog, files, pictures)
        self._device = device
        self._files = files
        self._configs = dict(configs or {})
        self._memory = memory or MemoryBudget()
        self._compile_denoiser = compile_denoiser
        self._engine: DiffusersEngine | None = None
        self._lock = threading.Lock()

    @property
    def loaded(self) -> dict[str, tuple[str, ...]]:
        """Spec ids of the loaded checkpoints, each with the LoRAs loaded into it; what would go first comes first."""
        return {checkpoint.spec.id: checkpoint.lora_ids for checkpoint in self._engine.loaded} if self._engine else {}

    @property
    def checkpoint_loads(self) -> int:
        """How many times a checkpoint was read from its file so far."""
        return self._engine.checkpoint_loads if self._engine else 0

    def unload(self, spec_id: str) -> None:
        """Give the memory of a checkpoint back; nothing happens where it is not loaded.

        Args:
            spec_id: Of the checkpoint. Not while another thread draws.
        """
        if self._engine is not None:
            self._engine.unload(spec_id)

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
        return self.draw_batch([call], on_step=on_step, cancel=cancel)[0]

    def draw_batch(
        self,
        calls: Sequence[Call],
        *,
        on_step: Callable[[StepProgress], None] | None = None,
        cancel: threading.Event | None = None,
    ) -> list[Drawing]:
        """Draw several calls; those that differ by their seeds alone are denoised together.

        A picture is the one that `draw` gives for its call, up to the rounding of larger matrix products. All calls are
        checked before the first one is drawn.

        Args:
            calls: What to draw, in any order; all those of one checkpoint are drawn before the next one.
            on_step: As for `draw`; its steps are those of the pass under way, and begin anew with the next one.
            cancel: Set it from any thread to stop before the next step.

        Returns:
            The drawings in the order of the calls.

        Raises:
            DiffAgentError: As `draw`. One call that cannot be drawn ends the batch, and its other pictures are lost.
        """
        started = time.perf_counter()
        seeded = [with_seed(call) for call in calls]
        after_step = Steps(on_step, cancel)
        groups = [(places, self._check.checked(seeded[places[0]])) for places in passes(seeded)]
        drawings: dict[int, Drawing] = {}
        for places, checked in groups:
            seeds = [seeded[place].seed or 0 for place in places]
            with self._lock:
                after_step.stop_if_asked(0)
                images = self._started().draw(checked, seeds, after_step)
            seconds = time.perf_counter() - started
            for place, image in zip(places, images, strict=True):
                drawings[place] = Drawing(image=image, call=seeded[place], seconds=seconds)
        return [drawings[place] for place in range(len(calls))]

    def _started(self) -> DiffusersEngine:
        """The engine, which looks at the device and its free memory when the first picture is drawn."""
        if self._engine is None:
            require("torch", "diffusers", "transformers", "peft")
            self._engine = DiffusersEngine(
                torch_device(self._device),
                self._files,
                configs=self._configs,
                memory=self._memory,
                compile_denoiser=self._compile_denoiser,
            )
        return self._engine
