"""Drawing of checked calls: which checkpoints stay loaded, and what is done when memory runs out."""

from __future__ import annotations

import gc
import logging
import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from diffagent_tools.backends.checked_calls import CheckedCall
from diffagent_tools.backends.checkpoints import LoadedCheckpoint
from diffagent_tools.backends.fallbacks import Economy, step_down
from diffagent_tools.backends.memory import MemoryBudget
from diffagent_tools.backends.networks import FileStamp
from diffagent_tools.backends.pipelines import first_line, out_of_memory, pipeline_kind
from diffagent_tools.backends.pool import CheckpointPool, Tier
from diffagent_tools.backends.steps import Steps
from diffagent_tools.devices import fitting_threads
from tool_specs.calls import Call
from tool_specs.configs import config_of
from tool_specs.exceptions import BackendError, DiffAgentError
from tool_specs.spec import ToolSpec
from tool_specs.weight_files import read_header

if TYPE_CHECKING:
    import torch
    from PIL.Image import Image

log = logging.getLogger(__name__)


class DiffusersEngine:
    """Draws checked calls, one pass at a time. Not safe to share between threads.

    Attributes:
        checkpoint_loads: How many times a checkpoint was read from its file so far.
    """

    def __init__(
        self,
        device: torch.device,
        files: Callable[[ToolSpec], Path],
        *,
        configs: Mapping[str, Path],
        memory: MemoryBudget,
        compile_denoiser: bool,
    ) -> None:
        """Begin with nothing loaded.

        Args:
            device: What computes; beside any but the CPU, weights can wait in RAM.
            files: Gives the weights file of a spec.
            configs: Family name to its diffusers configuration folder, for families whose folder would otherwise come
                from the model hub.
            memory: What loaded checkpoints may take.
            compile_denoiser: Compile the blocks of each checkpoint's denoiser.
        """
        import torch

        self._device = device
        self._files = files
        self._configs = configs
        self._compile_denoiser = compile_denoiser
        self._pool = CheckpointPool(
            [Tier(each, memory.on(each)) for each in dict.fromkeys((device, torch.device("cpu")))]
        )
        self._can_offload = device != torch.device("cpu")
        self._economies: dict[tuple[FileStamp, tuple[int, int]], Economy] = {}
        self.checkpoint_loads = 0

    @property
    def loaded(self) -> Sequence[LoadedCheckpoint]:
        """The loaded checkpoints, from what would go first to what would go last."""
        return list(self._pool)

    def unload(self, spec_id: str) -> None:
        """Let go of a checkpoint, if it is loaded."""
        self._pool.drop_all(lambda checkpoint: checkpoint.spec.id == spec_id)

    def draw(self, checked: CheckedCall, seeds: Sequence[int], after_step: Steps) -> list[Image]:
        """Draw a call once for each seed, together as far as memory allows.

        Where memory runs out, what is lost is drawn again with the next one of `FALLBACKS`. What did is remembered for
        the checkpoint and the size.

        Args:
            checked: What to draw.
            seeds: The sources of noise.
            after_step: Called after every denoising step.

        Raises:
            CallError: The call does not fit the checkpoint.
            WeightsError: A file cannot be used.
            BackendError: Drawing failed on the machine.
            DrawingCancelled: Somebody wants to stop.
        """
        stamp = FileStamp.of(self._files(checked.checkpoint))
        place = stamp, checked.call.final_size
        economy = self._economies.get(place, Economy())
        images: list[Image] = []
        while len(images) < len(seeds):
            batch = seeds[len(images) : len(images) + economy.batch]
            drawn = self._attempt(checked, batch, after_step, stamp, economy)
            if isinstance(drawn, Economy):
                economy = drawn
                # Not earlier: only when the exception is gone do its frames let go of the memory.
                _give_back()
            else:
                images += drawn
                self._economies[place] = economy
        return images

    def _attempt(
        self, checked: CheckedCall, seeds: Sequence[int], after_step: Steps, stamp: FileStamp, economy: Economy
    ) -> list[Image] | Economy:
        """The pictures; where memory ran out, what to try next."""
        fallback = economy.fallback
        loaded = None
        if fallback.alone:
            self._pool.clear_device(but=stamp)
        try:
            loaded = self._load(checked.checkpoint, stamp, waiting=bool(fallback.offload))
            after_step.stop_if_asked(0)
            with fitting_threads(loaded.parameters):
                images = loaded.draw(checked, seeds, after_step, fallback=fallback, device=self._device)
            self._pool.settle()
        except DiffAgentError:
            raise
        except BaseException as error:
            if error is after_step.error:
                raise
            if loaded is None or not loaded.is_sound or not out_of_memory(error):
                # A pipeline that was interrupted or failed anywhere may be in any state.
                self._pool.drop(stamp)
            if not isinstance(error, Exception):
                raise
            lower = self._lower(error, economy, len(seeds), is_loading=loaded is None)
            if lower is None:
                raise self._explained(error, checked.call) from error
            log.warning(
                "out of memory while drawing %d of %s at %dx%d (%s): drawn again, %s, %d together",
                *(len(seeds), checked.checkpoint.id, *checked.call.final_size, first_line(error)),
                *(lower.fallback.said, min(lower.batch, len(seeds))),
            )
            return lower
        return images

    def _lower(self, error: Exception, now: Economy, pictures: int, *, is_loading: bool) -> Economy | None:
        if not out_of_memory(error):
            return None
        return step_down(
            now,
            pictures=pictures,
            is_loading=is_loading,
            offloads=self._can_offload,
            others=len(self.loaded) > (0 if is_loading else 1),
        )

    def _load(self, checkpoint: ToolSpec, stamp: FileStamp, *, waiting: bool) -> LoadedCheckpoint:
        """The loaded checkpoint; others make room for it."""
        import torch

        dtype = getattr(torch, pipeline_kind(checkpoint).dtype) if self._device.type == "cuda" else torch.float32
        config = self._configs.get(checkpoint.family) or config_of(checkpoint)

        def read(device: torch.device) -> LoadedCheckpoint:
            loaded = LoadedCheckpoint(checkpoint, stamp.path, config=config, device=device, dtype=dtype)
            self.checkpoint_loads += 1
            if self._compile_denoiser:
                loaded.compile_denoiser()
            return loaded

        numbers = sum(math.prod(tensor.shape) for tensor in read_header(stamp.path).tensors.values())
        return self._pool.use(stamp, read, expected=numbers * dtype.itemsize, waiting=waiting)

    def _explained(self, error: Exception, call: Call) -> BackendError:
        """The one line that a person can act on."""
        if out_of_memory(error):
            self._pool.clear()
            return BackendError(
                f"out of memory while drawing {call.checkpoint} at {call.width}x{call.height} (device "
                f"{str(self._device)!r}); draw smaller, or close what else uses the memory"
            )
        log.debug("drawing %s failed", call.checkpoint, exc_info=error)
        return BackendError(
            f"drawing {call.checkpoint} with {call.sampler}, {call.steps} steps at {call.width}x{call.height} failed: "
            f"{type(error).__name__}: {first_line(error)}"
        )


def _give_back() -> None:
    """Give memory that nothing uses any more back to the device."""
    import torch

    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
