"""Checkpoints as Stable Diffusion 1.x is shared: one file in the original LDM layout."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from diffagent_tools.ldm import ldm_state
from finetune.pocket.weights import save_tensors

if TYPE_CHECKING:
    from diffusers import AutoencoderKL, UNet2DConditionModel
    from transformers import CLIPTextModel


def save_single_file(
    path: Path,
    *,
    unet: UNet2DConditionModel,
    vae: AutoencoderKL,
    text_encoder: CLIPTextModel,
    metadata: Mapping[str, str] | None = None,
    dtype: torch.dtype = torch.float16,
) -> None:
    """Write a checkpoint as one `.safetensors` file that `StableDiffusionPipeline.from_single_file` opens.

    Args:
        path: Where the file goes.
        unet: Any number of levels, attention on any of them, one `layers_per_block`.
        vae: Any number of levels.
        text_encoder: A CLIP text model.
        metadata: Text entries of the file's header.
        dtype: float16 halves the file and changes values by at most 0.05 %; float32 is exact.

    Raises:
        WeightsError: A tensor has no place in the layout, or is not finite in `dtype`.
    """
    save_tensors(path, ldm_state(unet, vae, text_encoder), metadata=metadata or {}, dtype=dtype)
