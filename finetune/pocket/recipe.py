"""Every number of the recipe: sizes of the networks, steps, batch sizes, learning rates, seeds."""

from __future__ import annotations

from dataclasses import dataclass, replace


@dataclass(frozen=True, slots=True)
class Stage:
    """How long and how fast one network is trained.

    Attributes:
        steps: Optimizer steps.
        batch: Samples a step.
        learning_rate: Peak of the cosine schedule (AdamW).
        seed: Seeds initial weights and every batch.
    """

    steps: int
    batch: int
    learning_rate: float
    seed: int


@dataclass(frozen=True, slots=True)
class Recipe:
    """One complete retraining of the pocket world."""

    name: str
    renders: int
    """Clean renders in the pool that VAE and CLIP train on."""
    variants: int
    """Jittered renders of each subject–background pair in a checkpoint's latents."""
    vae: Stage
    vae_colour: Stage
    decoder: Stage
    text: Stage
    reward: Stage
    base: Stage
    checkpoint: Stage
    lora: Stage
    embedding: Stage
    lora_rank: int = 6
    domains: tuple[str, ...] = ("animals", "food", "travel", "objects")
    styles: tuple[str, ...] = ("pixel art", "line art", "watercolor", "neon", "blueprint", "sepia")
    unet_channels: tuple[int, ...] = (64, 80, 112)
    vae_channels: tuple[int, ...] = (16, 32, 64)
    text_width: int = 96
    ema_decay: float = 0.998


FULL = Recipe(
    name="full",
    renders=14_000,
    variants=8,
    vae=Stage(steps=3_400, batch=8, learning_rate=2e-3, seed=11),
    vae_colour=Stage(steps=2_400, batch=16, learning_rate=1.5e-3, seed=18),
    decoder=Stage(steps=2_600, batch=16, learning_rate=1.5e-3, seed=19),
    text=Stage(steps=900, batch=128, learning_rate=1.5e-3, seed=12),
    reward=Stage(steps=1_600, batch=128, learning_rate=1.5e-3, seed=13),
    base=Stage(steps=1_200, batch=32, learning_rate=1.5e-3, seed=14),
    checkpoint=Stage(steps=1_600, batch=32, learning_rate=1.0e-3, seed=15),
    lora=Stage(steps=800, batch=32, learning_rate=3e-3, seed=16),
    embedding=Stage(steps=200, batch=16, learning_rate=2e-2, seed=17),
)
"""The recipe of the shipped weights: about two hours on two CPU cores."""

QUICK = replace(
    FULL,
    name="quick",
    renders=400,
    variants=1,
    vae=Stage(steps=40, batch=8, learning_rate=2e-3, seed=11),
    vae_colour=Stage(steps=10, batch=8, learning_rate=1.5e-3, seed=18),
    decoder=Stage(steps=10, batch=8, learning_rate=1.5e-3, seed=19),
    text=Stage(steps=20, batch=32, learning_rate=1.5e-3, seed=12),
    reward=Stage(steps=20, batch=32, learning_rate=1.5e-3, seed=13),
    base=Stage(steps=20, batch=16, learning_rate=1.5e-3, seed=14),
    checkpoint=Stage(steps=20, batch=16, learning_rate=1.0e-3, seed=15),
    lora=Stage(steps=10, batch=8, learning_rate=3e-3, seed=16),
    embedding=Stage(steps=10, batch=8, learning_rate=2e-2, seed=17),
    domains=("animals", "food"),
    styles=("pixel art", "sepia"),
)
"""A throw-away world that shows the whole path in about two minutes; its pictures are noise."""
