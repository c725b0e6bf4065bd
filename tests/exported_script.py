"""Running an exported script as a person would, but in this process, where the libraries are loaded already."""

from __future__ import annotations

import runpy
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image


def run_script(source: str, folder: Path) -> Image.Image:
    """What a script draws that is started in `folder`."""
    script, picture = folder / "script.py", folder / "drawn.png"
    script.write_text(source, encoding="utf-8")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setattr(sys, "argv", [str(script), str(picture)])
        runpy.run_path(str(script), run_name="__main__")
    with Image.open(picture) as drawn:
        return drawn.convert("RGB")


def difference(left: Image.Image, right: Image.Image) -> int:
    """The largest difference of two pictures in any value, of 255."""
    assert left.size == right.size
    return int(np.abs(np.asarray(left, dtype=int) - np.asarray(right, dtype=int)).max())
