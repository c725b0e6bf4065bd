"""A loaded checkpoint: its pipeline and the networks that were loaded into it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from diffagent_tools.backends.checked_calls import CheckedCall
from diffagent_tools.backends.conditioning import Conditioning
from diffagent_tools.backends.embeddings import taught_words
from diffagent_tools.backends.fallbacks import Fallback, in_effect
from diffagent_tools.backends.loras import LoadedLoras
from diffagent_tools.backends.passes import denoise
from diffagent_tools.backends.pipelines import load_pipeline
from diffagent_tools.backends.samplers import scheduler_of
from diffagent_tools.backends.sharing import named_weights, share, storage_sizes
from diffagent_tools.backends.tiling import seamless
from diffagent_tools.backends.vaes import OtherVae
from diffagent_tools.devices import quiet_libraries
from tool_specs.exceptions import PictureError
from tool_specs.pipelines import text_tokens
from tool_specs.spec import ToolSpec

if TYPE_CHECKING:
    import torch
    from PIL.Image import Image


class LoadedCheckpoint:
    """A pipeline that stays in memory, with the LoRAs that calls have used.

    Attributes:
        spec: What it is.
        parameters: How many numbers its networks have.
        is_sound: Whether the last call left it such that it can draw again. What fails while networks are put into
            place may leave it in any state; what fails while it denoises does not.
    """

    def __init__(
        self, spec: ToolSpec, path: Path, *, config: Path | str, device: torch.device, dtype: torch.dtype
    ) -> None:
        """Load the checkpoint.

        Args:
            spec: What it is.
            path: Its file.
            config: Folder, or name on the hub, of the family's configuration.
            device: Where its weights go.
            dtype: In what precision.

        Raises:
            WeightsError: The file cannot be used.
            BackendError: The configuration cannot be had.
        """
        self.spec = spec
        self._pipeline = load_pipeline(spec, path, config=config, device=device, dtype=dtype)
        self._conditioning = Conditioning(self._pipeline, model=spec.model_name, text_tokens=text_tokens(spec))
        self._noise_schedule: dict[str, object] = dict(self._pipeline.scheduler.config)
        self._loras = LoadedLoras(self._pipeline, spec)
        self._other_vae = OtherVae(self._pipeline, spec)
        self._device = device
        self._storages: dict[str, dict[int, int]] = {}
        self.is_sound = True
        self.parameters = sum(parameter.numel() for _, parameter in named_weights(self._pipeline))

    @property
    def size(self) -> int:
        """Bytes of all that it has loaded, networks included."""
        return sum(self.storages(self._device).values())

    @property
    def lora_ids(self) -> tuple[str, ...]:
        """Spec ids of the LoRAs that are loaded, least recently used first."""
        return self._loras.ids

    def compile_denoiser(self) -> None:
        """Have the repeated blocks of the denoiser compiled when it is first used, and again for other LoRAs."""
        denoiser = getattr(self._pipeline, "unet", None) or self._pipeline.transformer
        denoiser.compile_repeated_blocks()

    def storages(self, device: torch.device) -> dict[int, int]:
        """Address to bytes of all that it has loaded to a kind of device."""
        if device.type not in self._storages:
            weights = (parameter.data for _, parameter in named_weights(self._pipeline))
            tensors = chain(weights, self._loras.merged.tensors(), self._other_vae.tensors())
            self._storages[device.type] = storage_sizes(tensors, device.type)
        return self._storages[device.type]

    def move(self, device: torch.device) -> None:
        """Move to a device, without what is quickly put in again: merged networks, and a VAE of another file."""
        if device == self._device:
            return
        self._loras.merged.act(())
        self._other_vae.let_go()
        self._pipeline.to(device)
        self._device = device
        self._storages.clear()

    def share_with(self, other: LoadedCheckpoint) -> None:
        """Hold weights that both have on the same device once. No network is merged into this one."""
        originals = {name: other._loras.merged.original(weight) for name, weight in named_weights(other._pipeline)}
        share(named_weights(self._pipeline), originals)
        self._storages.clear()

    def draw(
        self,
        checked: CheckedCall,
        seeds: Sequence[int],
        after_step: Callable[[int, int], None],
        *,
        fallback: Fallback,
        device: torch.device,
    ) -> list[Image]:
        """Draw a call with its networks, once for each seed, all together.

        Args:
            checked: What to draw.
            seeds: Sources of all noise.
            after_step: Called after every denoising step with the number of steps done and their total.
            fallback: How to need less memory.
            device: What computes.

        Raises:
            CallError: An embedding's word is not in the prompt.
            WeightsError: A network's file cannot be used.
            PictureError: A picture holds values that are not numbers.
        """
        from PIL import Image

        call, networks = checked.call, checked.networks
        embeddings = [network for network in networks if network.spec.type == "TextualInversion"]
        vae = next((network for network in networks if network.spec.type == "VAE"), None)
        loras = [network for network in networks if network.spec.type not in ("TextualInversion", "VAE")]
        if networks or self.lora_ids or fallback.offload:
            self._storages.clear()
        self.is_sound = False
        with (
            quiet_libraries(),
            taught_words(self._pipeline, self.spec, embeddings, call),
            self._other_vae.in_place(vae),
            seamless(self._pipeline, wanted=call.tiling),
        ):
            self._loras.act(loras)
            self.is_sound = True
            self._pipeline.scheduler = scheduler_of(call.sampler, self._noise_schedule)
            with in_effect(fallback, self._pipeline, device):
                texts = self._conditioning.arguments(call)
                generators = [_noise_source(seed) for seed in seeds]
                pixels = denoise(self._pipeline, call, texts, checked.start, generators, after_step)
        if not np.isfinite(pixels).all():
            msg = (
                f"{self.spec.model_name} drew values that are not numbers at {call.width}x{call.height}, "
                f"{call.sampler}, cfg {call.cfg_scale}; use a lower cfg scale or another sampler"
            )
            raise PictureError(msg)
        return [Image.fromarray(picture) for picture in (pixels * 255).round().astype(np.uint8)]


def _noise_source(seed: int) -> torch.Generator:
    """A generator on the CPU, so that a seed starts from the same noise on every device."""
    import torch

    return torch.Generator("cpu").manual_seed(seed)
