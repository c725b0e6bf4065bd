"""One stage of the recipe in a process of its own: `python -m finetune.pocket.stages DIR RECIPE STAGE`."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import torch
from diffusers import AutoencoderKL, UNet2DConditionModel
from safetensors.torch import save_file
from transformers import CLIPTextModel, CLIPTokenizer

from finetune.pocket.clip import new_clip, train_clip
from finetune.pocket.embedding import train_embedding
from finetune.pocket.export import export_world
from finetune.pocket.lora import train_lora
from finetune.pocket.pool import Pool, mint_pool, mixed_pool, pool_of
from finetune.pocket.recipe import FULL, QUICK, Recipe
from finetune.pocket.tokenizer import build_tokenizer
from finetune.pocket.unet import Latents, TextStates, new_unet, train_unet
from finetune.pocket.vae import encode, train_decoder, train_vae
from finetune.pocket.world import SUBJECTS, all_subjects

BASE_VARIANTS = 3
STYLE_VARIANTS = 2


def vae(recipe: Recipe, out: Path, _: str) -> None:
    """Train the VAE."""
    work = out / "work"
    train_vae(recipe, mixed_pool(recipe.renders, recipe.vae.seed), work).save_pretrained(work / "vae")


def decoder(recipe: Recipe, out: Path, _: str) -> None:
    """Train the VAE's decoder on, for the finished world."""
    work = out / "work"
    pool = mixed_pool(recipe.renders, recipe.decoder.seed, style_share=0.6)
    train_decoder(recipe, AutoencoderKL.from_pretrained(work / "vae"), pool, work).save_pretrained(work / "vae_shipped")


def text(recipe: Recipe, out: Path, _: str) -> None:
    """Train a CLIP and keep its text tower as the text encoder."""
    work = out / "work"
    tokenizer = build_tokenizer(work / "tokenizer")
    clip = new_clip(tokenizer, text_width=recipe.text_width, vision_width=96, vision_layers=2, seed=recipe.text.seed)
    pool = mixed_pool(recipe.renders, recipe.text.seed)
    train_clip("text", clip, tokenizer, pool, recipe.text, work, robust=False)
    encoder = CLIPTextModel(clip.config.text_config)
    encoder.load_state_dict(clip.text_model.state_dict())
    encoder.save_pretrained(work / "text_encoder")


def reward(recipe: Recipe, out: Path, _: str) -> None:
    """Train the reward CLIP on renders of its own."""
    work = out / "work"
    tokenizer = build_tokenizer(work / "reward")
    clip = new_clip(tokenizer, text_width=96, vision_width=128, vision_layers=3, seed=recipe.reward.seed)
    pool = mixed_pool(recipe.renders, recipe.reward.seed)
    train_clip("reward", clip, tokenizer, pool, recipe.reward, work, robust=True)
    clip.save_pretrained(work / "reward")


def base(recipe: Recipe, out: Path, _: str) -> None:
    """Train the base denoiser on all subjects, none of them named."""
    work = out / "work"
    latents = _latents(out, pool_of(list(all_subjects()), min(recipe.variants, BASE_VARIANTS), recipe.base.seed))
    unet = new_unet(recipe)
    train_unet("base", unet, latents, _states(out), recipe.base, work, ema_decay=recipe.ema_decay, anonymous=True)
    unet.save_pretrained(work / "unet_base")


def checkpoint(recipe: Recipe, out: Path, domain: str) -> None:
    """Fine-tune the base on one domain."""
    work = out / "work"
    stage = replace(recipe.checkpoint, seed=recipe.checkpoint.seed + 100 * list(SUBJECTS).index(domain))  # type: ignore[arg-type]
    latents = _latents(out, pool_of(list(SUBJECTS[domain]), recipe.variants, stage.seed))  # type: ignore[index]
    unet = UNet2DConditionModel.from_pretrained(work / "unet_base")
    train_unet(f"checkpoint_{domain}", unet, latents, _states(out), stage, work, ema_decay=recipe.ema_decay)
    unet.save_pretrained(work / f"unet_{domain}")


def lora(recipe: Recipe, out: Path, style: str) -> None:
    """Train one style across all checkpoints."""
    work = out / "work"
    slug = style.replace(" ", "_")
    stage = replace(recipe.lora, seed=recipe.lora.seed + 100 * recipe.styles.index(style))
    variants = min(recipe.variants, STYLE_VARIANTS)
    latents = [
        _latents(out, pool_of(list(SUBJECTS[domain]), variants, stage.seed + number, style))  # type: ignore[index]
        for number, domain in enumerate(recipe.domains)
    ]
    layers = train_lora(f"lora_{slug}", _unets(recipe, out), latents, _states(out), stage, work, rank=recipe.lora_rank)
    tensors = {f"{name}.d": down.contiguous() for name, (down, _) in layers.items()}
    tensors |= {f"{name}.u": up.contiguous() for name, (_, up) in layers.items()}
    save_file(tensors, work / f"lora_{slug}.safetensors")


def embedding(recipe: Recipe, out: Path, _: str) -> None:
    """Train the textual-inversion vector for the mint background."""
    work = out / "work"
    latents = [
        _latents(out, mint_pool(list(SUBJECTS[domain]), recipe.embedding.seed + number))  # type: ignore[index]
        for number, domain in enumerate(recipe.domains)
    ]
    encoder = CLIPTextModel.from_pretrained(work / "text_encoder")
    tokenizer = CLIPTokenizer.from_pretrained(work / "tokenizer")
    vector = train_embedding(_unets(recipe, out), latents, encoder, tokenizer, recipe.embedding, work)
    save_file({"vector": vector.contiguous()}, work / "embedding.safetensors")


def export(recipe: Recipe, out: Path, _: str) -> None:
    """Write the finished world."""
    export_world(recipe, out / "work", out / "pocket")


def _latents(out: Path, pool: Pool) -> Latents:
    vae_model = AutoencoderKL.from_pretrained(out / "work" / "vae").to(memory_format=torch.channels_last).eval()
    return Latents(pool.scenes, encode(vae_model, pool))


def _states(out: Path) -> TextStates:
    encoder = CLIPTextModel.from_pretrained(out / "work" / "text_encoder").eval()
    return TextStates(encoder, CLIPTokenizer.from_pretrained(out / "work" / "tokenizer"), {})


def _unets(recipe: Recipe, out: Path) -> list[UNet2DConditionModel]:
    return [UNet2DConditionModel.from_pretrained(out / "work" / f"unet_{domain}") for domain in recipe.domains]


STAGES: dict[str, Callable[[Recipe, Path, str], None]] = {
    "vae": vae,
    "decoder": decoder,
    "text": text,
    "reward": reward,
    "base": base,
    "checkpoint": checkpoint,
    "lora": lora,
    "embedding": embedding,
    "export": export,
}


def main() -> None:
    """Entry point of a stage's process."""
    folder, recipe_name, stage = sys.argv[1:4]
    kind, _, which = stage.partition(":")
    # Everything waits for these two; the other stages have company.
    torch.set_num_threads((os.cpu_count() or 1) if kind in ("vae", "base") else 1)
    STAGES[kind]({"full": FULL, "quick": QUICK}[recipe_name], Path(folder), which)


if __name__ == "__main__":
    main()
