"""Weights files of the real sizes with random numbers, written tensor by tensor."""

from __future__ import annotations

import json
import math
import re
from pathlib import Path
from typing import TYPE_CHECKING, Final

from diffagent_tools.ldm import TEXT_PREFIX, ldm_state, open_clip_state
from tool_specs.configs import CONFIGS_DIR

if TYPE_CHECKING:
    from torch import Tensor

_BLOCK: Final = 2**22
"""Random numbers that are made once and then written over and over."""
_ATTENTION: Final = re.compile(r"\.attn[12]\.to_(q|k|v|out\.0)$")


def tensors_of(family: str) -> dict[str, Tensor]:
    """Every tensor of a family's original layout, without its numbers.

    Args:
        family: "sd15" or "sdxl".
    """
    import torch
    from diffusers import AutoencoderKL, UNet2DConditionModel
    from transformers import CLIPTextConfig, CLIPTextModel, CLIPTextModelWithProjection

    folder = CONFIGS_DIR / family
    with torch.device("meta"):
        unet = UNet2DConditionModel.from_config(UNet2DConditionModel.load_config(folder / "unet"))
        vae = AutoencoderKL.from_config(AutoencoderKL.load_config(folder / "vae"))
        text = CLIPTextModel(CLIPTextConfig.from_pretrained(folder / "text_encoder"))
        tensors = ldm_state(unet, vae, text)
        if family == "sdxl":
            first = "conditioner.embedders.0.transformer."
            tensors = {name.replace(TEXT_PREFIX, first, 1): tensor for name, tensor in tensors.items()}
            second = CLIPTextModelWithProjection(CLIPTextConfig.from_pretrained(folder / "text_encoder_2"))
            tensors |= {
                f"conditioner.embedders.1.model.{name}": tensor for name, tensor in open_clip_state(second).items()
            }
    return tensors


def size_of(tensors: dict[str, Tensor]) -> int:
    """Bytes of all tensors in half precision."""
    return 2 * sum(tensor.numel() for tensor in tensors.values())


def lora_tensors_of(family: str, rank: int = 16) -> dict[str, Tensor]:
    """Every tensor of a LoRA of the attention layers of a family's UNet in kohya's layout, without its numbers."""
    import torch
    from diffusers import UNet2DConditionModel

    with torch.device("meta"):
        unet = UNet2DConditionModel.from_config(UNet2DConditionModel.load_config(CONFIGS_DIR / family / "unet"))
        tensors: dict[str, Tensor] = {}
        for name, layer in unet.named_modules():
            if _ATTENTION.search(name):
                outputs, inputs = layer.weight.shape
                stem = f"lora_unet_{name.replace('.', '_')}"
                tensors[f"{stem}.lora_down.weight"] = torch.empty(rank, inputs)
                tensors[f"{stem}.lora_up.weight"] = torch.empty(outputs, rank)
    return tensors


def write_random(path: Path, tensors: dict[str, Tensor], *, seed: int = 1) -> None:
    """Write a safetensors file in half precision; at no time more than a block of it is in memory.

    Matrices are random and as large as keeps a signal's strength, gains are one, biases zero.

    Args:
        path: The file.
        tensors: Its names and shapes.
        seed: Of the numbers.
    """
    import torch

    header, offset = {}, 0
    for name, tensor in tensors.items():
        end = offset + 2 * tensor.numel()
        header[name] = {"dtype": "F16", "shape": list(tensor.shape), "data_offsets": [offset, end]}
        offset = end
    start = json.dumps(header).encode()
    start += b" " * (-len(start) % 8)
    noise = torch.randn(_BLOCK, generator=torch.Generator().manual_seed(seed))
    with path.open("wb") as file:
        file.write(len(start).to_bytes(8, "little") + start)
        for name, tensor in tensors.items():
            if tensor.dim() > 1:
                block = noise / math.sqrt(math.prod(tensor.shape[1:]))
            else:
                block = torch.full((min(_BLOCK, tensor.numel()),), float(name.endswith("weight")))
            numbers = block.half().numpy().tobytes()
            for done in range(0, tensor.numel(), _BLOCK):
                file.write(numbers[: 2 * min(_BLOCK, tensor.numel() - done)])
