"""Contrastive training of a small CLIP: one run gives the text encoder, another the reward model."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional
from transformers import CLIPConfig, CLIPModel, CLIPTokenizer

from finetune.pocket.loop import fit, sources, training_device
from finetune.pocket.pool import Pool, worded
from finetune.pocket.recipe import Stage

IMAGE_MEAN = (0.5, 0.5, 0.5)
IMAGE_STD = (0.5, 0.5, 0.5)


def new_clip(
    tokenizer: CLIPTokenizer, *, text_width: int, vision_width: int, vision_layers: int, seed: int
) -> CLIPModel:
    """An untrained CLIP for 64×64 pictures in patches of 8."""
    torch.manual_seed(seed)
    config = CLIPConfig(
        text_config={
            "vocab_size": len(tokenizer),
            "hidden_size": text_width,
            "intermediate_size": 4 * text_width,
            "num_hidden_layers": 2,
            "num_attention_heads": 4,
            "max_position_embeddings": tokenizer.model_max_length,
            "bos_token_id": tokenizer.bos_token_id,
            "eos_token_id": tokenizer.eos_token_id,
            "pad_token_id": tokenizer.pad_token_id,
        },
        vision_config={
            "hidden_size": vision_width,
            "intermediate_size": 4 * vision_width,
            "num_hidden_layers": vision_layers,
            "num_attention_heads": 4,
            "image_size": 64,
            "patch_size": 8,
        },
        projection_dim=96,
    )
    return CLIPModel(config)


def contrastive_loss(image: Tensor, text: Tensor, scale: Tensor, same: Tensor) -> Tensor:
    """Symmetric InfoNCE (Radford et al. 2021, section 2.3) with every row of the same scene as a positive.

    Args:
        image: Normalised image embeddings, (B, D).
        text: Normalised text embeddings, (B, D).
        scale: Logit scale, scalar.
        same: Which texts fit which images, bool (B, B) with a true diagonal.
    """
    logits = scale * image @ text.T
    target = same.float() / same.float().sum(dim=1, keepdim=True)
    return 0.5 * (functional.cross_entropy(logits, target) + functional.cross_entropy(logits.T, target.T))


def train_clip(
    name: str, model: CLIPModel, tokenizer: CLIPTokenizer, pool: Pool, stage: Stage, folder: Path, *, robust: bool
) -> CLIPModel:
    """Train a CLIP on a pool of renders.

    Args:
        name: Names the log and the save file.
        model: What is trained.
        tokenizer: The pocket tokenizer.
        pool: Renders with their scenes.
        stage: Steps, batch, learning rate, seed.
        folder: Where the state is kept.
        robust: Add blur and noise to the pictures, as drawn pictures have them.
    """
    keys = np.array([f"{s.subject}|{s.background}|{s.style}" for s in pool.scenes])

    device = training_device()
    model.to(device)

    def loss_of(step: int) -> Tensor:
        rng, _ = sources(stage, step)
        rows = rng.integers(0, len(keys), stage.batch)
        pictures = pool.batch(rows)
        if robust:
            pictures = _roughen(pictures, rng)
        texts = [worded(pool.scenes[row], rng) for row in rows]
        tokens = tokenizer(texts, padding="max_length", truncation=True, return_tensors="pt")
        output = model(pixel_values=pictures.to(device), input_ids=tokens.input_ids.to(device))
        same = torch.from_numpy(keys[rows][:, None] == keys[rows][None, :]).to(device)
        scale = model.logit_scale.exp().clamp(max=60.0)
        return contrastive_loss(output.image_embeds, output.text_embeds, scale, same)

    fit(name, model, loss_of, stage, folder, ema_decay=0.995)
    return model.eval()


def _roughen(pictures: Tensor, rng: np.random.Generator) -> Tensor:
    """Blur and noise on a random half of the pictures."""
    rough = functional.avg_pool2d(pictures, 3, stride=1, padding=1, count_include_pad=False)
    share = torch.from_numpy(rng.uniform(0, 1, len(pictures)).astype(np.float32) * (rng.random(len(pictures)) < 0.5))
    mixed = torch.lerp(pictures, rough, share[:, None, None, None])
    return mixed + torch.randn_like(mixed) * (0.08 * share[:, None, None, None])
