"""Tiling: pictures whose opposite edges meet, as A1111's "Tiling" draws them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from diffusers import StableDiffusionPipeline


@contextmanager
def seamless(pipeline: StableDiffusionPipeline, *, wanted: bool) -> Iterator[None]:
    """Let every convolution of UNet and VAE see the far edge beyond the near one; afterwards they are what they were.

    Args:
        pipeline: Its parts as they are now: a VAE that is put in later keeps its edges.
        wanted: False changes nothing.
    """
    if not wanted:
        yield
        return
    from torch.nn import Conv2d

    parts = (pipeline.unet, pipeline.vae)
    before = {layer: layer.padding_mode for part in parts for layer in part.modules() if isinstance(layer, Conv2d)}
    try:
        for layer in before:
            layer.padding_mode = "circular"
        yield
    finally:
        for layer, mode in before.items():
            layer.padding_mode = mode
