"""A loaded checkpoint: its pipeline and the networks that were loaded into it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from diffagent_tools.backends.conditioning import Conditioning
from diffagent_tools.backends.embeddings import taught_words
from diffagent_tools.backends.loras import LoadedLoras
from diffagent_tools.backends.networks import Network
from diffagent_tools.backends.passes import denoise
from diffagent_tools.backends.pipelines import load_pipeline
from diffagent_tools.backends.samplers import scheduler_of
from diffagent_tools.backends.tiling import seamless
from diffagent_tools.backends.vaes import OtherVae
from diffagent_tools.devices import quiet_libraries
from tool_specs.calls import Call
from tool_specs.exceptions import BackendError
from tool_specs.pipelines import text_tokens
from tool_specs.spec import ToolSpec

if TYPE_CHECKING:
    import torch
    from PIL.Image import Image


class LoadedCheckpoint:
    """A pipeline that stays in memory, with the LoRAs that calls have used."""

    def __init__(
        self, spec: ToolSpec, path: Path, *, config: Path | str, device: torch.device, dtype: torch.dtype
    ) -> None:
        """Load the checkpoint.

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
        parameters = [
            weight
            for module in self._pipeline.components.values()
            if hasattr(module, "parameters")
            for weight in module.parameters()
        ]
        self.parameters = sum(weight.numel() for weight in parameters)
        self.size = sum(weight.numel() * weight.element_size() for weight in parameters)

    @property
    def lora_ids(self) -> tuple[str, ...]:
        """Spec ids of the LoRAs that are loaded, least recently used first."""
        return self._loras.ids

    def save_memory(self) -> None:
        """Let the VAE work in tiles from now on: slower, with a lower peak; large pictures may change a little."""
        self._pipeline.vae.enable_slicing()
        self._pipeline.vae.enable_tiling()

    def draw(
        self,
        call: Call,
        networks: Sequence[Network],
        start: Image | None,
        generator: torch.Generator,
        after_step: Callable[[int, int], None],
    ) -> Image:
        """Draw a call with its networks.

        Args:
            call: What to draw.
            networks: The networks that the call names.
            start: The picture that the call begins from.
            generator: Source of all noise.
            after_step: Called after every denoising step with the number of steps done and their total.

        Raises:
            CallError: An embedding's word is not in the prompt.
            WeightsError: A network's file cannot be used.
            BackendError: The picture holds values that are not numbers.
        """
        from PIL import Image

        embeddings = [network for network in networks if network.spec.type == "TextualInversion"]
        vae = next((network for network in networks if network.spec.type == "VAE"), None)
        loras = [network for network in networks if network.spec.type not in ("TextualInversion", "VAE")]
        with (
            quiet_libraries(),
            taught_words(self._pipeline, self.spec, embeddings, call),
            self._other_vae.in_place(vae),
            seamless(self._pipeline, wanted=call.tiling),
        ):
            self._loras.act(loras)
            self._pipeline.scheduler = scheduler_of(call.sampler, self._noise_schedule)
            pixels = denoise(self._pipeline, call, self._conditioning.arguments(call), start, generator, after_step)
        if not np.isfinite(pixels).all():
            msg = (
                f"{self.spec.model_name} drew values that are not numbers at {call.width}x{call.height}, "
                f"{call.sampler}, cfg {call.cfg_scale}; use a lower cfg scale or another sampler"
            )
            raise BackendError(msg)
        return Image.fromarray((pixels * 255).round().astype(np.uint8))
