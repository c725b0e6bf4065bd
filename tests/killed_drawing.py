"""Draws and stores pictures, to be killed while it does.

`python -m tests.killed_drawing FOLDER drawing|writing` notes in FOLDER/log each step, or each picture whose file is
written but not yet in its place, and waits a moment each time.
"""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path

from diffagent_tools.artifacts import ArtifactStore
from diffagent_tools.backends import DiffusersBackend
from tool_specs.calls import PocketCall
from tool_specs.catalog import Catalog

SECONDS = 0.2


def main(folder: Path, moment: str) -> None:
    catalog = Catalog.pocket()
    checkpoint = next(spec.id for spec in catalog if spec.is_checkpoint)
    backend, store = DiffusersBackend(catalog, device="cpu"), ArtifactStore(folder / "store")

    def note(*_: object) -> None:
        with (folder / "log").open("a") as log:
            log.write(f"{moment}\n")
        time.sleep(SECONDS)

    if moment == "writing":
        os.fsync = note
    for seed in range(100):
        call = PocketCall(checkpoint=checkpoint, prompt="a fox", steps=3, width=32, height=32, seed=seed)
        drawing = backend.draw(call, on_step=note if moment == "drawing" else None)
        store.save(drawing.image, drawing.call, infotext="a fox")


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2])
