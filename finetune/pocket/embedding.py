"""The textual-inversion embedding: one token vector for a background colour that no checkpoint has a word for."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch
from diffusers import DDPMScheduler, UNet2DConditionModel
from torch import Tensor, nn
from transformers import CLIPTextModel, CLIPTokenizer

from finetune.pocket.loop import fit, sources, training_device
from finetune.pocket.pool import worded
from finetune.pocket.recipe import Stage
from finetune.pocket.unet import SCHEDULE, Latents, denoising_loss
from finetune.pocket.world import EMBEDDING_TOKEN, Scene


class TokenVector(nn.Module):
    """The one trainable vector, (1, width), put in place of the token's row by a hook on the embedding table."""

    def __init__(self, encoder: CLIPTextModel, tokenizer: CLIPTokenizer, start_word: str) -> None:
        super().__init__()
        tokenizer.add_tokens([EMBEDDING_TOKEN])
        self.token_id = int(tokenizer.convert_tokens_to_ids(EMBEDDING_TOKEN))
        encoder.resize_token_embeddings(len(tokenizer))
        encoder.requires_grad_(False)
        table = encoder.get_input_embeddings()
        start = table.weight[tokenizer(start_word).input_ids[1]].detach()
        self.vector = nn.Parameter(start[None].clone())
        table.register_forward_hook(self._replace)

    def _replace(self, _: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> Tensor:
        return torch.where((inputs[0] == self.token_id)[..., None], self.vector[0], output)


def train_embedding(
    unets: Sequence[UNet2DConditionModel],
    latents: Sequence[Latents],
    encoder: CLIPTextModel,
    tokenizer: CLIPTokenizer,
    stage: Stage,
    folder: Path,
) -> Tensor:
    """Train the vector (Gal et al. 2023, eq. 2) on pictures with the new background, over all checkpoints in turn.

    Returns:
        The vector, (1, width).
    """
    torch.manual_seed(stage.seed)
    alphas = DDPMScheduler(**SCHEDULE).alphas_cumprod
    device = training_device()
    for unet in unets:
        unet.requires_grad_(False).to(device)
    token = TokenVector(encoder.to(device), tokenizer, start_word="green")

    def loss_of(step: int) -> Tensor:
        rng, generator = sources(stage, step)
        number = step % len(unets)
        chosen = latents[number]
        rows = rng.integers(0, len(chosen.scenes), stage.batch)
        scenes = [Scene(chosen.scenes[row].subject, EMBEDDING_TOKEN) for row in rows]
        tokens = tokenizer(
            [worded(scene, rng) for scene in scenes], padding="max_length", truncation=True, return_tensors="pt"
        )
        text = encoder(tokens.input_ids.to(device)).last_hidden_state
        return denoising_loss(unets[number], chosen.values[torch.from_numpy(rows)], text, generator, alphas)

    fit("embedding", token, loss_of, stage, folder, ema_decay=0.98, weight_decay=0.0)
    return token.vector.detach().cpu()
