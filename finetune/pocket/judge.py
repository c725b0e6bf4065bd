"""A judge that shares nothing with the reward model: nearest neighbours among clean renders in plain image features."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from PIL import Image
from scipy import ndimage

from finetune.pocket.render import render
from finetune.pocket.world import BACKGROUNDS, STYLES, Scene, all_subjects

PLAIN = "plain"
NEIGHBOURS = 7
EDGE_WEIGHT = 1.6


class SubjectJudge:
    """Says which subject a picture shows: the subject of the nearest clean render.

    Features are the picture at 16×16 RGB and histograms of gradient orientation in 8×8 cells (Dalal & Triggs 2005).

    Args:
        variants: Clean renders of every subject on every background.
        seed: Seeds their jitter; use seeds that no training used.
    """

    def __init__(self, variants: int = 3, seed: int = 90_001) -> None:
        rng = np.random.default_rng(seed)
        scenes = [Scene(s, b) for s in all_subjects() for b in BACKGROUNDS for _ in range(variants)]
        self._subjects = [scene.subject for scene in scenes]
        self._features = np.stack([subject_features(render(scene, rng)) for scene in scenes])
        self._squares = (self._features**2).sum(axis=1)

    def subjects(self, pictures: Sequence[Image.Image]) -> list[str]:
        """The subject of each 64×64 picture."""
        queries = np.stack([subject_features(picture) for picture in pictures])
        distances = self._squares[None] - 2 * queries @ self._features.T
        return [self._subjects[row] for row in distances.argmin(axis=1)]


class StyleJudge:
    """Says which style a picture has: the majority among the nearest clean renders, over all styles and plain ones.

    Near is measured with the covariance within a style taken out (Mahalanobis distance).

    Args:
        renders: Clean renders of each style.
        seed: Seeds which scenes they show; use seeds that no training used.
    """

    def __init__(self, renders: int = 250, seed: int = 90_002) -> None:
        rng = np.random.default_rng(seed)
        subjects = list(all_subjects())
        self._labels, rows = [], []
        for style in (None, *STYLES):
            for _ in range(renders):
                scene = Scene(str(rng.choice(subjects)), str(rng.choice(BACKGROUNDS)), style)
                rows.append(style_features(render(scene, rng)))
                self._labels.append(style or PLAIN)
        raw = np.stack(rows).astype(float)
        classes = raw.reshape(-1, renders, raw.shape[1])
        within = np.mean([np.cov(group.T) for group in classes], axis=0)
        self._whiten = np.linalg.cholesky(np.linalg.inv(within + 1e-6 * np.eye(len(within))))
        self._features = raw @ self._whiten

    def nearer(self, style: str, before: Image.Image, after: Image.Image) -> bool:
        """Whether a picture is nearer than another to the middle of a style.

        Args:
            style: A style of `STYLES`.
            before: A picture drawn without the style.
            after: The same drawn with it.
        """
        middle = self._features[[label == style for label in self._labels]].mean(axis=0)
        apart = [np.linalg.norm(style_features(picture) @ self._whiten - middle) for picture in (before, after)]
        return bool(apart[1] < apart[0])

    def styles(self, pictures: Sequence[Image.Image]) -> list[str]:
        """The style of each 64×64 picture; "plain" for none."""
        answers = []
        for picture in pictures:
            feature = style_features(picture) @ self._whiten
            nearest = np.argsort(((self._features - feature) ** 2).sum(axis=1))[:NEIGHBOURS]
            names = [self._labels[row] for row in nearest]
            answers.append(max(dict.fromkeys(names), key=names.count))
        return answers


def subject_features(picture: Image.Image) -> np.ndarray:
    """What a picture shows: 16×16 colours and 8×8 cells of eight gradient orientations, (1280,)."""
    pixels = np.asarray(picture.convert("RGB").resize((64, 64)), dtype=np.float32) / 255
    small = pixels.reshape(16, 4, 16, 4, 3).mean(axis=(1, 3))
    smooth = ndimage.gaussian_filter(pixels, (1.0, 1.0, 0))
    dy, dx = ndimage.sobel(smooth, 0), ndimage.sobel(smooth, 1)
    strongest = np.hypot(dy, dx).argmax(axis=2)[..., None]
    dy, dx = np.take_along_axis(dy, strongest, 2)[..., 0], np.take_along_axis(dx, strongest, 2)[..., 0]
    orientation = ((np.arctan2(dy, dx) / np.pi) % 1 * 8).astype(int).clip(0, 7)
    cells = np.zeros((8, 8, 8), dtype=np.float32)
    rows, columns = np.mgrid[0:64, 0:64] // 8
    np.add.at(cells, (rows, columns, orientation), np.hypot(dy, dx))
    cells /= np.linalg.norm(cells) + 1e-6
    return np.concatenate([small.ravel() / 16, EDGE_WEIGHT * cells.ravel()]).astype(np.float32)


def style_features(picture: Image.Image) -> np.ndarray:
    """How a picture is drawn, whatever it shows: colour moments, border colours, edges, blockiness, (26,)."""
    pixels = np.asarray(picture.convert("RGB").resize((64, 64)), dtype=np.float32) / 255
    saturation = pixels.max(axis=2) - pixels.min(axis=2)
    grey = pixels.mean(axis=2)
    edges = np.abs(np.diff(grey, axis=0))[:, :-1] + np.abs(np.diff(grey, axis=1))[:-1]
    blocks = pixels.reshape(16, 4, 16, 4, 3)
    within = blocks.std(axis=(1, 3)).mean()
    border = np.concatenate([pixels[:3].reshape(-1, 3), pixels[-3:].reshape(-1, 3)])
    corners = np.stack([pixels[:4, :4], pixels[:4, -4:], pixels[-4:, :4], pixels[-4:, -4:]]).mean(axis=(0, 1, 2))
    red_blue = pixels[..., 0] - pixels[..., 2]
    return np.concatenate(
        [
            pixels.mean(axis=(0, 1)),
            pixels.std(axis=(0, 1)),
            border.mean(axis=0),
            border.std(axis=0),
            corners,
            np.quantile(grey, (0.1, 0.5, 0.9)),
            np.quantile(edges, (0.5, 0.8, 0.95)),
            [saturation.mean(), saturation.std(), red_blue.std(), within, within / (pixels.std() + 1e-3)],
        ]
    ).astype(np.float32)
