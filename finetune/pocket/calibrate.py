"""Measure the pocket reward on ordinary pictures: `python -m finetune.pocket.calibrate`.

Ordinary means drawn without any choice: a random checkpoint for a random request. A reward of one half is then what a
person gets who does not choose.
"""

from __future__ import annotations

import argparse

import numpy as np
from rich.progress import track

from diffagent_tools.backends import DiffusersBackend
from diffagent_tools.rewards import CLIPReward, calibrate
from finetune.pocket.drawing import pocket_call
from finetune.pocket.world import BACKGROUNDS, SUBJECTS, all_subjects, caption
from tool_specs.catalog import Catalog
from tool_specs.pocket import pocket_calibration

SEED = 600_000
COUNT = 160


def calibrate_pocket(count: int = COUNT) -> None:
    """Draw `count` ordinary pictures with the shipped checkpoints and write the reward's `calibration.json`."""
    catalog = Catalog.pocket()
    backend = DiffusersBackend(catalog)
    rng = np.random.default_rng(SEED)
    prompts = [caption(str(rng.choice(list(all_subjects()))), str(rng.choice(BACKGROUNDS))) for _ in range(count)]
    images = [
        backend.draw(pocket_call(catalog, str(rng.choice(list(SUBJECTS))), prompt, (), SEED + number)).image
        for number, prompt in enumerate(track(prompts, description="drawing"))
    ]
    calibrate(CLIPReward(), images, prompts).save(pocket_calibration())


def main() -> None:
    """Entry point."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=COUNT, help="pictures to draw")
    calibrate_pocket(parser.parse_args().count)


if __name__ == "__main__":
    main()
