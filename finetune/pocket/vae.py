"""The shared VAE: 64×64 RGB to 16×16 latents of four channels, `AutoencoderKL` as in Stable Diffusion 1.5."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from diffusers import AutoencoderKL
from torch import Tensor
from torch.nn import functional

from finetune.pocket.loop import fit, sources, training_device
from finetune.pocket.pool import Pool
from finetune.pocket.recipe import Recipe, Stage

KL_WEIGHT = 1e-8
"""Against losses that are means over pixels; a thousand times more and two of the four channels collapse."""
EDGE_WEIGHT = 0.5
COLOUR_WEIGHT = 3.0
"""Of the error of the mean colours of 4×4 blocks, which the edge loss alone lets drift."""


def new_vae(recipe: Recipe) -> AutoencoderKL:
    """An untrained VAE with the recipe's widths."""
    torch.manual_seed(recipe.vae.seed)
    levels = len(recipe.vae_channels)
    return AutoencoderKL(
        down_block_types=("DownEncoderBlock2D",) * levels,
        up_block_types=("UpDecoderBlock2D",) * levels,
        block_out_channels=recipe.vae_channels,
        layers_per_block=1,
        norm_num_groups=8,
        latent_channels=4,
        sample_size=64,
    )


def train_decoder(recipe: Recipe, vae: AutoencoderKL, pool: Pool, folder: Path) -> AutoencoderKL:
    """Train the decoder alone on the latents that the finished encoder gives, so that denoisers keep their meaning.

    The latents get a little noise, as those of a denoiser have it.
    """
    stage, device = recipe.decoder, training_device()
    latents = encode(vae.to(device), pool)
    vae.requires_grad_(False)
    for part in (vae.decoder, vae.post_quant_conv):
        part.requires_grad_(True)

    def loss_of(step: int) -> Tensor:
        rng, _ = sources(stage, step)
        rows = rng.integers(0, len(pool.scenes), stage.batch)
        chosen = latents[torch.from_numpy(rows)]
        noisy = (chosen + DECODER_NOISE * torch.randn_like(chosen)) / vae.config.scaling_factor
        with torch.autocast(device.type, torch.bfloat16, enabled=has_fast_bfloat16(device)):
            drawn = vae.decode(noisy.to(device)).sample
        return reconstruction_loss(drawn.float(), pool.batch(rows).to(device), COLOUR_WEIGHT)

    fit("decoder", vae, loss_of, stage, folder, ema_decay=recipe.ema_decay)
    return vae.eval()


def reconstruction_loss(drawn: Tensor, pictures: Tensor, colour_weight: float) -> Tensor:
    """L1 and squared error, edges, and `colour_weight` times the squared error of the mean colours of 4×4 blocks.

    Args:
        drawn: What the decoder made, (B, 3, 64, 64) in [-1, 1].
        pictures: What it should be, the same shape.
        colour_weight: Weight of the colours.
    """
    error = functional.l1_loss(drawn, pictures) + functional.mse_loss(drawn, pictures)
    blocks = functional.mse_loss(functional.avg_pool2d(drawn, 4), functional.avg_pool2d(pictures, 4))
    return error + EDGE_WEIGHT * _edge_loss(drawn, pictures) + colour_weight * blocks


def has_fast_bfloat16(device: torch.device) -> bool:
    """Whether a device multiplies bfloat16 matrices in hardware; elsewhere they are many times slower than float32."""
    if device.type == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    return bool(torch.cpu.get_capabilities().get("amx_bf16", False))


def _edge_loss(left: Tensor, right: Tensor) -> Tensor:
    """L1 distance of the horizontal and vertical differences: keeps outlines sharp."""
    return functional.l1_loss(left.diff(dim=-1), right.diff(dim=-1)) + functional.l1_loss(
        left.diff(dim=-2), right.diff(dim=-2)
    )


DECODER_NOISE = 0.03
"""Standard deviation of the noise on scaled latents while the decoder is trained alone."""


def train_vae(recipe: Recipe, pool: Pool, folder: Path) -> AutoencoderKL:
    """Train the VAE on the pool and set its scaling factor to one over the latents' standard deviation."""
    device = training_device()
    vae = new_vae(recipe).to(device, memory_format=torch.channels_last)

    def loss_with(stage: Stage, colour_weight: float) -> Callable[[int], Tensor]:
        def loss_of(step: int) -> Tensor:
            rng, _ = sources(stage, step)
            pictures = pool.batch(rng.integers(0, len(pool.scenes), stage.batch)).to(device)
            with torch.autocast(device.type, torch.bfloat16, enabled=has_fast_bfloat16(device)):
                posterior = vae.encode(pictures).latent_dist
                drawn = vae.decode(posterior.sample()).sample
            error = reconstruction_loss(drawn.float(), pictures, colour_weight)
            return error + KL_WEIGHT * posterior.kl().float().mean()

        return loss_of

    fit("vae", vae, loss_with(recipe.vae, 0.0), recipe.vae, folder, ema_decay=recipe.ema_decay)
    colour_loss = loss_with(recipe.vae_colour, COLOUR_WEIGHT)
    fit("vae_colour", vae, colour_loss, recipe.vae_colour, folder, ema_decay=recipe.ema_decay)
    vae.eval()
    latents = encode(vae, pool, rows=np.arange(min(len(pool.scenes), 1000)), scaled=False)
    vae.register_to_config(scaling_factor=round(float(1 / latents.std()), 5))
    return vae


@torch.no_grad()
def encode(vae: AutoencoderKL, pool: Pool, rows: np.ndarray | None = None, *, scaled: bool = True) -> Tensor:
    """Mean latents of rows of a pool (all rows by default), (N, 4, 16, 16), times the scaling factor if `scaled`."""
    rows = np.arange(len(pool.scenes)) if rows is None else rows
    chunks = (pool.batch(chunk).to(vae.device) for chunk in np.array_split(rows, max(1, len(rows) // 64)))
    parts = [vae.encode(pictures).latent_dist.mean.cpu() for pictures in chunks]
    latents = torch.cat(parts)
    return latents * vae.config.scaling_factor if scaled else latents
