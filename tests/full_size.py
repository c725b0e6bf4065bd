"""Single files of random weights in the real sizes, written tensor by tensor; as a module, draws one step with one.

`python -m tests.full_size FAMILY FILE` prints what it took as JSON. It is a process of its own so that its peak memory
is that of the drawing, and so that the memory is free again afterwards.
"""

from __future__ import annotations

import json
import math
import resource
import sys
import time
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

import torch

from tests.tiny_families import _open_clip_state

if TYPE_CHECKING:
    from torch import Tensor

LABELS: Final = MappingProxyType({"sd15": "SD 1.5", "sdxl": "SDXL 1.0"})
_BLOCK: Final = 2**22
"""Random numbers that are made once and then written over and over."""


def tensors_of(family: str) -> dict[str, Tensor]:
    """Every tensor of a family's original layout, without its numbers."""
    from diffusers import AutoencoderKL, UNet2DConditionModel
    from transformers import CLIPTextConfig, CLIPTextModel, CLIPTextModelWithProjection

    from finetune.pocket.ldm import TEXT_PREFIX, ldm_state
    from tool_specs.configs import CONFIGS_DIR

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
                f"conditioner.embedders.1.model.{name}": tensor for name, tensor in _open_clip_state(second).items()
            }
    return tensors


def size_of(tensors: dict[str, Tensor]) -> int:
    """Bytes of all tensors in half precision."""
    return 2 * sum(tensor.numel() for tensor in tensors.values())


def write_random(path: Path, tensors: dict[str, Tensor]) -> None:
    """Write a safetensors file in half precision; at no time more than a block of it is in memory.

    Matrices are random and as large as keeps a signal's strength, gains are one, biases zero.
    """
    header, offset = {}, 0
    for name, tensor in tensors.items():
        end = offset + 2 * tensor.numel()
        header[name] = {"dtype": "F16", "shape": list(tensor.shape), "data_offsets": [offset, end]}
        offset = end
    start = json.dumps(header).encode()
    start += b" " * (-len(start) % 8)
    noise = torch.randn(_BLOCK, generator=torch.Generator().manual_seed(1))
    with path.open("wb") as file:
        file.write(len(start).to_bytes(8, "little") + start)
        for name, tensor in tensors.items():
            if tensor.dim() > 1:
                block = noise / math.sqrt(math.prod(tensor.shape[1:]))
            else:
                block = torch.full((min(_BLOCK, tensor.numel()),), float(name.endswith("weight")))
            numbers = memoryview(block.half().numpy())
            for done in range(0, tensor.numel(), _BLOCK):
                file.write(numbers[: min(_BLOCK, tensor.numel() - done)])


def draw_one_step(family: str, path: Path) -> dict[str, float]:
    """Draw the smallest picture in one step, as a person's own file is drawn.

    Returns:
        The seconds of the first picture and of the second, which loads nothing; the picture's colours; peak memory in
        bytes.
    """
    from diffagent_tools.backends import DiffusersBackend
    from tests.tiny_world import Shelf
    from tool_specs.calls import call_model

    shelf = Shelf()
    checkpoint = shelf.put(1, "Checkpoint", path, base_model=LABELS[family])
    backend = DiffusersBackend(shelf.catalog, device="cpu", files=shelf.file_of)
    model = call_model(family)
    small = model.bounds.min_size
    call = model(checkpoint=checkpoint, prompt="a fox", steps=1, width=small, height=small, seed=1)  # type: ignore[call-arg]
    seconds = []
    for _ in range(2):
        started = time.perf_counter()
        image = backend.draw(call).image
        seconds.append(time.perf_counter() - started)
    return {
        "first": seconds[0],
        "second": seconds[1],
        "colours": len(image.convert("L").getcolors()),
        "width": image.width,
        "peak": 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss,
    }


if __name__ == "__main__":
    sys.stdout.write(json.dumps(draw_one_step(sys.argv[1], Path(sys.argv[2]))))
