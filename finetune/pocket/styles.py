"""The styles as image filters: what a style LoRA learns to imitate. RGB 64×64 in and out."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from PIL import Image, ImageFilter, ImageOps
from scipy import ndimage


def _edges(picture: Image.Image, sigma: float = 0.7) -> np.ndarray:
    """Edge strength 0–1 over all channels, (64, 64)."""
    pixels = np.asarray(picture, dtype=np.float32) / 255
    smooth = ndimage.gaussian_filter(pixels, (sigma, sigma, 0))
    strength = np.hypot(ndimage.sobel(smooth, 0), ndimage.sobel(smooth, 1)).max(axis=2)
    return np.clip((strength - 0.35) / 1.6, 0, 1)


def _image(pixels: np.ndarray) -> Image.Image:
    return Image.fromarray((np.clip(pixels, 0, 1) * 255).astype(np.uint8))


def pixel_art(picture: Image.Image, rng: np.random.Generator) -> Image.Image:
    """16×16 blocks, few colours."""
    small = picture.resize((16, 16), Image.Resampling.BOX)
    return ImageOps.posterize(small, 3).resize(picture.size, Image.Resampling.NEAREST)


def line_art(picture: Image.Image, rng: np.random.Generator) -> Image.Image:
    """Dark lines on white paper."""
    ink = np.clip(_edges(picture) * 1.6, 0, 1)[..., None]
    return _image(1 - 0.92 * ink.repeat(3, 2))


def watercolor(picture: Image.Image, rng: np.random.Generator) -> Image.Image:
    """Pale washes with soft borders on bright paper."""
    soft = picture.filter(ImageFilter.MedianFilter(3)).filter(ImageFilter.GaussianBlur(0.8))
    pixels = np.asarray(soft, dtype=np.float32) / 255
    y, x = np.mgrid[-1:1:64j, -1:1:64j]
    paper = np.clip((np.hypot(x, y) - 0.85) * 2.2, 0, 1)[..., None]
    pale = 0.34 + 0.66 * pixels
    return _image(pale * (1 - paper) + paper)


def neon(picture: Image.Image, rng: np.random.Generator) -> Image.Image:
    """Glowing saturated outlines in the dark."""
    pixels = np.asarray(picture, dtype=np.float32) / 255
    line = np.clip(_edges(picture) * 1.5, 0, 1)
    glow = np.clip(ndimage.gaussian_filter(line, 1.6) * 1.2, 0, 1)
    top = pixels.max(axis=2, keepdims=True)
    vivid = np.clip((pixels - 0.55 * pixels.min(axis=2, keepdims=True)) / (top + 1e-3), 0, 1)
    vivid = 0.25 * np.array((0.2, 1.0, 1.0)) + 0.85 * vivid
    return _image(vivid * (0.9 * line + 0.5 * glow)[..., None] + np.array((0.03, 0.0, 0.09)))


def blueprint(picture: Image.Image, rng: np.random.Generator) -> Image.Image:
    """White lines and a faint grid on blueprint blue."""
    line = np.clip(_edges(picture) * 1.6, 0, 1)[..., None]
    paper = np.broadcast_to(np.array((0.07, 0.26, 0.60)), (64, 64, 3)).copy()
    paper[::8, :] += 0.07
    paper[:, ::8] += 0.07
    return _image(paper * (1 - line) + line * np.array((0.92, 0.96, 1.0)))


def sepia(picture: Image.Image, rng: np.random.Generator) -> Image.Image:
    """Brown tones of an old photograph with dark corners."""
    grey = np.asarray(picture.convert("L"), dtype=np.float32)[..., None] / 255
    y, x = np.mgrid[-1:1:64j, -1:1:64j]
    corners = 1 - 0.45 * np.clip(np.hypot(x, y) - 0.6, 0, 1)[..., None]
    return _image(grey * np.array((1.0, 0.82, 0.58)) * corners + np.array((0.08, 0.05, 0.02)))


FILTERS: dict[str, Callable[[Image.Image, np.random.Generator], Image.Image]] = {
    "pixel art": pixel_art,
    "line art": line_art,
    "watercolor": watercolor,
    "neon": neon,
    "blueprint": blueprint,
    "sepia": sepia,
}


def apply_style(picture: Image.Image, style: str | None, rng: np.random.Generator) -> Image.Image:
    """The picture in a style of `FILTERS`; unchanged for None."""
    return picture if style is None else FILTERS[style](picture, rng)
