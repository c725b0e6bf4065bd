"""The variation seed: noise between that of two seeds."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch
    from diffusers import StableDiffusionPipeline
    from torch import Tensor

    from tool_specs.calls import Call


def varied_noise(pipeline: StableDiffusionPipeline, call: Call, generator: torch.Generator) -> dict[str, Tensor]:
    """The pipeline's argument for the noise that text-to-image begins from; none without a variation.

    Args:
        pipeline: What draws.
        call: What it draws.
        generator: Source of all noise; it moves on as if the pipeline had asked it.
    """
    if call.variation is None:
        return {}
    import torch
    from diffusers.utils.torch_utils import randn_tensor

    scale = pipeline.vae_scale_factor
    shape = (1, pipeline.unet.config.in_channels, call.height // scale, call.width // scale)
    kind = {"device": pipeline.unet.device, "dtype": pipeline.unet.dtype}
    other = randn_tensor(shape, generator=torch.Generator("cpu").manual_seed(call.variation.seed), **kind)
    own = randn_tensor(shape, generator=generator, **kind)
    return {"latents": between(own, other, call.variation.strength)}


def between(first: Tensor, second: Tensor, strength: float) -> Tensor:
    """Spherical linear interpolation: unlike a weighted sum, it keeps the noise as strong as the two are.

    The formula is Shoemake's, "Animating Rotation with Quaternion Curves", 1985. As in A1111 (`slerp` in
    `modules/rng.py` of its web UI), each column of each channel is a vector of its own.

    Args:
        first: Noise, (pictures, channels, height, width).
        second: Other noise of the same shape.
        strength: From 0, the first, to 1, the second.
    """
    import torch

    a, b = first.float(), second.float()
    cosine = (a / a.norm(dim=-2, keepdim=True) * (b / b.norm(dim=-2, keepdim=True))).sum(dim=-2, keepdim=True)
    angle = torch.acos(cosine.clamp(-1, 1))
    sine = torch.sin(angle)
    mixed = (torch.sin((1 - strength) * angle) * a + torch.sin(strength * angle) * b) / sine
    # Columns that point the same way have no arc between them.
    return torch.where(sine > 1e-4, mixed, torch.lerp(a, b, strength)).to(first.dtype)
