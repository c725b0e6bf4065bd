"""Draws one step with a file of the real size.

`python -m tests.full_size FAMILY FILE` prints what it took as JSON. It is a process of its own so that its peak memory
is that of the drawing, and so that the memory is free again afterwards.
"""

from __future__ import annotations

import json
import resource
import sys
import time
from pathlib import Path
from types import MappingProxyType
from typing import Final

LABELS: Final = MappingProxyType({"sd15": "SD 1.5", "sdxl": "SDXL 1.0"})


def draw_one_step(family: str, path: Path) -> dict[str, float]:
    """Draw the smallest picture in one step, as a person's own file is drawn.

    Returns:
        The seconds of the first picture and of the second, which loads nothing; the picture's colours; peak memory in
        bytes.
    """
    from diffagent_tools.backends import DiffusersBackend
    from tests.tiny_world import Shelf
    from tool_specs.calls import call_model

    shelf = Shelf()
    checkpoint = shelf.put(1, "Checkpoint", path, base_model=LABELS[family])
    backend = DiffusersBackend(shelf.catalog, device="cpu", files=shelf.file_of)
    model = call_model(family)
    small = model.bounds.min_size
    call = model(checkpoint=checkpoint, prompt="a fox", steps=1, width=small, height=small, seed=1)  # type: ignore[call-arg]
    seconds = []
    for _ in range(2):
        started = time.perf_counter()
        image = backend.draw(call).image
        seconds.append(time.perf_counter() - started)
    return {
        "first": seconds[0],
        "second": seconds[1],
        "colours": len(image.convert("L").getcolors()),
        "width": image.width,
        "peak": 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss,
    }


if __name__ == "__main__":
    sys.stdout.write(json.dumps(draw_one_step(sys.argv[1], Path(sys.argv[2]))))
