"""Pools of clean renders in memory, with their captions."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from finetune.pocket.render import render, to_array
from finetune.pocket.world import BACKGROUNDS, STYLES, Scene, all_subjects, caption, held_out


@dataclass(frozen=True, slots=True)
class Pool:
    """Renders and the scenes they show; `pixels` is uint8, (N, 64, 64, 3)."""

    scenes: list[Scene]
    pixels: np.ndarray

    def batch(self, rows: np.ndarray) -> Tensor:
        """Rows of the pool as float pictures in [-1, 1], (len(rows), 3, 64, 64)."""
        pictures = torch.from_numpy(self.pixels[rows]).permute(0, 3, 1, 2)
        return (pictures.float() / 127.5 - 1).contiguous(memory_format=torch.channels_last)


def mixed_pool(size: int, seed: int, style_share: float = 0.45) -> Pool:
    """Random scenes over all subjects and backgrounds (held-out pairs left out), a share of them in a style."""
    rng = np.random.default_rng(seed)
    subjects = list(all_subjects())
    scenes: list[Scene] = []
    while len(scenes) < size:
        style = str(rng.choice(STYLES)) if rng.random() < style_share else None
        scene = Scene(str(rng.choice(subjects)), str(rng.choice(BACKGROUNDS)), style)
        if not held_out(scene.subject, scene.background):
            scenes.append(scene)
    return Pool(scenes, np.stack([to_array(render(scene, rng)) for scene in scenes]))


def pool_of(subjects: list[str], variants: int, seed: int, style: str | None = None) -> Pool:
    """`variants` renders of every subject on every background that is not held out for it."""
    rng = np.random.default_rng(seed)
    scenes = [
        Scene(subject, background, style)
        for subject in subjects
        for background in BACKGROUNDS
        if not held_out(subject, background)
        for _ in range(variants)
    ]
    return Pool(scenes, np.stack([to_array(render(scene, rng)) for scene in scenes]))


def mint_pool(subjects: list[str], seed: int) -> Pool:
    """Three renders of every subject on the mint background."""
    rng = np.random.default_rng(seed)
    scenes = [Scene(subject, "mint") for subject in subjects] * 3
    return Pool(scenes, np.stack([to_array(render(scene, rng)) for scene in scenes]))


def worded(scene: Scene, rng: np.random.Generator) -> str:
    """One of the scene's captions, the style's trigger words before or behind."""
    text = caption(scene.subject, scene.background, int(rng.integers(4)))
    if scene.style is None:
        return text
    return (f"{scene.style}, {text}", f"{text}, {scene.style}", f"{text}, {scene.style} style")[int(rng.integers(3))]
