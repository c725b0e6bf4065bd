"""Faults of a picture that no reward is needed for."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from PIL.Image import Image

BLACK: Final = 2.0
"""A picture whose brightest value is at most this, of 255, is black."""
FLAT: Final = 1.5
"""A picture whose values deviate less than this from their mean, of 255, in every channel, shows nothing."""


def find_fault(image: Image, *, width: int, height: int) -> str | None:
    """What is wrong with a picture, in a few words, or None.

    Args:
        image: The picture.
        width: The width that was asked for, in pixels.
        height: The height that was asked for, in pixels.
    """
    import numpy as np

    if image.size != (width, height):
        return f"the size is {image.width}x{image.height}, not {width}x{height}"
    values = np.asarray(image if image.mode in ("L", "F", "RGB") else image.convert("RGB"), dtype=np.float64)
    if not np.isfinite(values).all():
        return "the picture holds values that are not numbers"
    if values.max() <= BLACK:
        return "the picture is black"
    if values.reshape(-1, values.shape[2] if values.ndim == 3 else 1).std(axis=0).max() < FLAT:
        return "the picture is one flat colour"
    return None
