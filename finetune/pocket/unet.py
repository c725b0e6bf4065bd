"""The denoiser: one base that knows backgrounds and shapes, then a checkpoint for each domain fine-tuned from it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch
from diffusers import DDPMScheduler, UNet2DConditionModel
from torch import Tensor
from transformers import CLIPTextModel, CLIPTokenizer

from finetune.pocket.loop import fit, sources, training_device
from finetune.pocket.pool import worded
from finetune.pocket.recipe import Recipe, Stage
from finetune.pocket.world import Scene

CAPTION_DROPOUT = 0.1
NOISE_OFFSET = 0.08
SNR_GAMMA = 5.0
SCHEDULE = {
    "num_train_timesteps": 1000,
    "beta_start": 0.00085,
    "beta_end": 0.012,
    "beta_schedule": "scaled_linear",
    "clip_sample": False,
    "prediction_type": "epsilon",
}
"""The noise schedule of Stable Diffusion 1.5."""


@dataclass(frozen=True, slots=True)
class Latents:
    """Scaled latents of renders, (N, 4, 16, 16), and the scenes they show."""

    scenes: list[Scene]
    values: Tensor


@dataclass(slots=True)
class TextStates:
    """Captions to the text encoder's last hidden states, each computed once."""

    encoder: CLIPTextModel
    tokenizer: CLIPTokenizer
    cache: dict[str, Tensor]

    @torch.no_grad()
    def __call__(self, captions: list[str]) -> Tensor:
        """Hidden states, (len(captions), 32, width)."""
        new = list(dict.fromkeys(text for text in captions if text not in self.cache))
        if new:
            tokens = self.tokenizer(new, padding="max_length", truncation=True, return_tensors="pt")
            states = self.encoder(tokens.input_ids).last_hidden_state
            self.cache.update(zip(new, states, strict=True))
        return torch.stack([self.cache[text] for text in captions])


def new_unet(recipe: Recipe) -> UNet2DConditionModel:
    """An untrained denoiser with attention at the two lower resolutions."""
    torch.manual_seed(recipe.base.seed)
    return UNet2DConditionModel(
        sample_size=16,
        in_channels=4,
        out_channels=4,
        layers_per_block=1,
        block_out_channels=recipe.unet_channels,
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"),
        up_block_types=("CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"),
        cross_attention_dim=recipe.text_width,
        attention_head_dim=4,
        norm_num_groups=16,
    )


def denoising_loss(
    unet: UNet2DConditionModel, latents: Tensor, text: Tensor, generator: torch.Generator, alphas: Tensor
) -> Tensor:
    """Noise-prediction loss (Ho et al. 2020, eq. 14) with min-SNR-γ weights (Hang et al. 2023, eq. 5, γ = 5).

    Args:
        unet: The denoiser.
        latents: Scaled latents, (B, 4, 16, 16).
        text: Text states, (B, T, D).
        generator: Source of noise and timesteps.
        alphas: Cumulative alphas of the schedule, (1000,).
    """
    noise = torch.randn(latents.shape, generator=generator)
    noise = noise + NOISE_OFFSET * torch.randn((*latents.shape[:2], 1, 1), generator=generator)
    timesteps = torch.randint(0, len(alphas), (len(latents),), generator=generator)
    alpha = alphas[timesteps][:, None, None, None]
    noisy = (alpha.sqrt() * latents + (1 - alpha).sqrt() * noise).contiguous(memory_format=torch.channels_last)
    device = unet.device
    guess = unet(noisy.to(device), timesteps.to(device), text.to(device)).sample
    error = (guess - noise.to(device)).square().mean(dim=(1, 2, 3))
    ratio = (alpha / (1 - alpha)).flatten().to(device)
    return (error * ratio.clamp(max=SNR_GAMMA) / ratio).mean()


def train_unet(
    name: str,
    unet: UNet2DConditionModel,
    latents: Latents,
    states: TextStates,
    stage: Stage,
    folder: Path,
    *,
    ema_decay: float,
    anonymous: bool = False,
) -> UNet2DConditionModel:
    """Train a denoiser in place on latents and their captions.

    Args:
        name: Names the log and the save file.
        unet: What is trained.
        latents: The training pictures.
        states: The frozen text encoder.
        stage: Steps, batch, learning rate, seed.
        folder: Where the state is kept.
        ema_decay: Decay of the moving average that is kept in the end.
        anonymous: Call every subject "thing", so that nothing but backgrounds is learned by name.
    """
    alphas = DDPMScheduler(**SCHEDULE).alphas_cumprod
    unet.to(training_device(), memory_format=torch.channels_last).train()

    def loss_of(step: int) -> Tensor:
        rng, generator = sources(stage, step)
        rows = rng.integers(0, len(latents.scenes), stage.batch)
        scenes = [latents.scenes[row] for row in rows]
        if anonymous:
            scenes = [Scene("thing", scene.background, scene.style) for scene in scenes]
        captions = ["" if rng.random() < CAPTION_DROPOUT else worded(scene, rng) for scene in scenes]
        return denoising_loss(unet, latents.values[torch.from_numpy(rows)], states(captions), generator, alphas)

    fit(name, unet, loss_of, stage, folder, ema_decay=ema_decay)
    return unet.eval()
