"""The variation seed: noise between that of two seeds."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch
    from diffusers import StableDiffusionPipeline
    from torch import Tensor

    from tool_specs.calls import Call


def one_or_all(generators: Sequence[torch.Generator]) -> torch.Generator | list[torch.Generator]:
    """Generators as diffusers wants them: a single one by itself."""
    return generators[0] if len(generators) == 1 else list(generators)


def varied_noise(
    pipeline: StableDiffusionPipeline, call: Call, generators: Sequence[torch.Generator]
) -> dict[str, Tensor]:
    """The pipeline's argument for the noise that text-to-image begins from; none without a variation.

    Args:
        pipeline: What draws.
        call: What it draws.
        generators: Source of all noise, one for each picture; they move on as if the pipeline had asked them.
    """
    if call.variation is None:
        return {}
    import torch
    from diffusers.utils.torch_utils import randn_tensor

    scale = pipeline.vae_scale_factor
    shape = (pipeline.unet.config.in_channels, call.height // scale, call.width // scale)
    kind = {"device": pipeline._execution_device, "dtype": pipeline.unet.dtype}
    other = randn_tensor((1, *shape), generator=torch.Generator("cpu").manual_seed(call.variation.seed), **kind)
    own = randn_tensor((len(generators), *shape), generator=one_or_all(generators), **kind)
    return {"latents": between(own, other.expand_as(own), call.variation.strength)}


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
