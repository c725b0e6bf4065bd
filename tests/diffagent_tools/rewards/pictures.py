"""Pictures for the tests of rewards."""

from __future__ import annotations

import numpy as np
import torch
from PIL import Image

MEAN = (0.48145466, 0.4578275, 0.40821073)
STD = (0.26862954, 0.26130258, 0.27577711)


def picture(seed: int, size: tuple[int, int] = (64, 64)) -> Image.Image:
    """Noise of a given width and height."""
    return Image.fromarray(np.random.default_rng(seed).integers(0, 256, (size[1], size[0], 3), dtype=np.uint8))


def clip_pixels(image: Image.Image) -> torch.Tensor:
    """A picture of the network's own size as CLIP's processors give it, (1, 3, height, width)."""
    values = (np.asarray(image, dtype=np.float64) / 255 - MEAN) / STD
    return torch.from_numpy(values).float().permute(2, 0, 1)[None]
