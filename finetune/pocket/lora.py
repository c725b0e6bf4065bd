"""Style LoRAs: one adapter trained across all checkpoints in turn, so that it works on every one of them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch
from diffusers import DDPMScheduler, UNet2DConditionModel
from peft import LoraConfig
from torch import Tensor

from finetune.pocket.loop import fit, sources, training_device
from finetune.pocket.pool import worded
from finetune.pocket.recipe import Stage
from finetune.pocket.unet import CAPTION_DROPOUT, SCHEDULE, Latents, TextStates, denoising_loss

TARGETS = r".*(to_q|to_k|to_v|to_out\.0|proj_in|proj_out|conv1|conv2|conv_in|conv_out)"
STEPS_A_CHECKPOINT = 4
"""Optimizer steps on one checkpoint before the next one takes its place."""


def train_lora(
    name: str,
    unets: Sequence[UNet2DConditionModel],
    latents: Sequence[Latents],
    states: TextStates,
    stage: Stage,
    folder: Path,
    *,
    rank: int,
) -> dict[str, tuple[Tensor, Tensor]]:
    """Train one style adapter.

    Args:
        name: Names the log and the save file.
        unets: The checkpoints' denoisers; left unchanged.
        latents: Styled renders, one set for each checkpoint.
        states: The frozen text encoder.
        stage: Steps, batch, learning rate, seed.
        folder: Where the state is kept.
        rank: Rank of the adapter; alpha is the same, so the weights act unscaled.

    Returns:
        Layer name to its (down, up) weights.
    """
    torch.manual_seed(stage.seed)
    alphas = DDPMScheduler(**SCHEDULE).alphas_cumprod
    student = UNet2DConditionModel.from_config(unets[0].config)
    student.requires_grad_(False)
    student.add_adapter(LoraConfig(r=rank, lora_alpha=rank, init_lora_weights="gaussian", target_modules=TARGETS))
    student.to(training_device(), memory_format=torch.channels_last).train()
    frozen = {
        key.replace(".base_layer", ""): weight for key, weight in student.named_parameters() if "lora_" not in key
    }
    teachers = [dict(unet.named_parameters()) for unet in unets]
    loaded = -1

    def load(number: int) -> None:
        nonlocal loaded
        if number != loaded:
            with torch.no_grad():
                for key, weight in frozen.items():
                    weight.copy_(teachers[number][key])
            loaded = number

    def loss_of(step: int) -> Tensor:
        number = step // STEPS_A_CHECKPOINT % len(unets)
        load(number)
        rng, generator = sources(stage, step)
        chosen = latents[number]
        rows = rng.integers(0, len(chosen.scenes), stage.batch)
        captions = ["" if rng.random() < CAPTION_DROPOUT else worded(chosen.scenes[row], rng) for row in rows]
        return denoising_loss(student, chosen.values[torch.from_numpy(rows)], states(captions), generator, alphas)

    fit(name, student, loss_of, stage, folder, ema_decay=0.99)
    weights = {key: weight.detach().cpu() for key, weight in student.named_parameters() if "lora_" in key}
    downs = [key for key in weights if ".lora_A." in key]
    return {key.split(".lora_A.")[0]: (weights[key], weights[key.replace(".lora_A.", ".lora_B.")]) for key in downs}
