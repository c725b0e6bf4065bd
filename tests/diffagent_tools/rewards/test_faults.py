from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from diffagent_tools.rewards import find_fault


def _picture(values: np.ndarray) -> Image.Image:
    return Image.fromarray(values)


NOISE = np.random.default_rng(1).integers(0, 256, (48, 64, 3), dtype=np.uint8)
BRIGHT_RED = np.broadcast_to(np.array([250, 10, 10], dtype=np.uint8), (48, 64, 3)).copy()
DOTTED = BRIGHT_RED.copy()
DOTTED[10:20, 10:20] = (10, 10, 250)


@pytest.mark.parametrize("values", [NOISE, DOTTED, NOISE[:, :, 0], NOISE // 8])
def test_pictures_that_show_something_have_no_fault(values: np.ndarray) -> None:
    assert find_fault(_picture(values), width=64, height=48) is None


@pytest.mark.parametrize(
    ("image", "fault"),
    [
        (_picture(np.zeros((48, 64, 3), np.uint8)), "the picture is black"),
        (_picture(BRIGHT_RED), "the picture is one flat colour"),
        (_picture(BRIGHT_RED + NOISE % 2), "the picture is one flat colour"),
        (_picture(np.full((48, 64, 3), 255, np.uint8)), "the picture is one flat colour"),
        (_picture(NOISE[:40]), "the size is 64x40, not 64x48"),
        (_picture(np.full((48, 64), np.nan, np.float32)), "the picture holds values that are not numbers"),
        (_picture(np.zeros((48, 64, 4), np.uint8)), "the picture is black"),
    ],
)
def test_faults_are_named(image: Image.Image, fault: str) -> None:
    assert find_fault(image, width=64, height=48) == fault
