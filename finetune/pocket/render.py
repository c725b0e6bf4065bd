"""Clean renders: an emoji on a background, 64×64, with a little jitter."""

from __future__ import annotations

import functools
import os
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from finetune.pocket.styles import apply_style
from finetune.pocket.world import COLOURS, MINT, Scene, all_subjects
from tool_specs.exceptions import ConfigError

SIZE = 64
FONT_PATH = "/usr/share/fonts/truetype/noto/NotoColorEmoji.ttf"
FONT_VARIABLE = "DIFFAGENT_EMOJI_FONT"
GLYPH_PIXELS = 109  # the only size of the bitmap strike in the font


def font_path() -> Path:
    """Where the colour emoji font is: `DIFFAGENT_EMOJI_FONT`, else where Debian puts it.

    Raises:
        ConfigError: There is no such file.
    """
    path = Path(os.environ.get(FONT_VARIABLE, FONT_PATH))
    if not path.is_file():
        msg = (
            f"the colour emoji font is not at {str(path)!r}; install Debian's `fonts-noto-color-emoji` "
            f"or set {FONT_VARIABLE} to NotoColorEmoji.ttf"
        )
        raise ConfigError(msg)
    return path


@functools.cache
def sprite(subject: str) -> Image.Image:
    """The subject's emoji, cropped to what is visible, RGBA."""
    font = ImageFont.truetype(str(font_path()), GLYPH_PIXELS)
    canvas = Image.new("RGBA", (140, 140), (0, 0, 0, 0))
    ImageDraw.Draw(canvas).text((0, 0), all_subjects()[subject], font=font, embedded_color=True)
    box = canvas.getbbox()
    if box is None:
        msg = f"the font {str(font_path())!r} has no glyph for {subject!r}; use Noto Color Emoji 2.034 or newer"
        raise ConfigError(msg)
    return canvas.crop(box)


def backdrop(background: str, rng: np.random.Generator, size: int = SIZE) -> Image.Image:
    """A background picture, RGB, `size`×`size` pixels."""
    rows = np.linspace(0.0, 1.0, size)[:, None, None]
    if background == "sunset":
        pixels = (1 - rows) * np.array((92, 48, 140)) + rows * np.array((255, 150, 60))
    elif background == "night sky":
        pixels = np.broadcast_to(np.array((16, 20, 58), dtype=float), (size, size, 3)).copy()
        for _ in range(16):
            y, x = rng.integers(1, size - 1, 2)
            pixels[y, x] = 255
    elif background == "meadow":
        pixels = np.where(rows < 0.62, np.array((150, 208, 250)), np.array((96, 176, 72)))
    elif background == "snow":
        pixels = np.where(rows < 0.62, np.array((176, 200, 226)), np.array((244, 248, 252)))
    else:
        colour = MINT if background == "mint" else COLOURS[background]
        pixels = np.array(colour, dtype=float)[None, None] + rng.integers(-5, 6, 3)
    return Image.fromarray(np.clip(np.broadcast_to(pixels, (size, size, 3)), 0, 255).astype(np.uint8))


def render(scene: Scene, rng: np.random.Generator) -> Image.Image:
    """Draw a scene: sprite of 44–50 px near the middle of its background, then the style's filter.

    Returns:
        RGB, 64×64 pixels.
    """
    picture = backdrop(scene.background, rng)
    figure = sprite(scene.subject)
    scale = rng.integers(44, 51) / max(figure.size)
    figure = figure.resize((round(figure.width * scale), round(figure.height * scale)), Image.Resampling.LANCZOS)
    dx, dy = rng.integers(-3, 4, 2)
    picture.paste(figure, ((SIZE - figure.width) // 2 + int(dx), (SIZE - figure.height) // 2 + int(dy)), figure)
    return apply_style(picture, scene.style, rng)


def to_array(picture: Image.Image) -> np.ndarray:
    """RGB picture to uint8 array (64, 64, 3)."""
    return np.asarray(picture.convert("RGB"), dtype=np.uint8)
