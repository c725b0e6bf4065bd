"""A catalog of one's own with what it is drawn and judged by: pocket models under other numbers and file names."""

from __future__ import annotations

import json
import re
import shutil
from dataclasses import dataclass
from pathlib import Path

import pytest

from diffagent_tools.rewards import Calibration
from finetune.dabench.pairs import Pair
from tool_specs.civitai.records import specs_of
from tool_specs.pocket import POCKET_DIR, pocket_calibration, pocket_file, pocket_reward
from tool_specs.store.database import CatalogDatabase

ANIMALS, FOOD, PIXEL = "civitai:7001@7101", "civitai:7002@7102", "civitai:7011@7111"
RECORDS = ("9001", "9002", "9011")


@dataclass(frozen=True)
class OwnCatalog:
    """Folders of a catalog, of its weights, and of a reward model."""

    catalog: Path
    weights: Path
    rewards: Path

    def settle(self, patch: pytest.MonkeyPatch) -> None:
        """Set the environment to these folders, with a home beside them from which nothing is taken."""
        patch.setenv("DIFFAGENT_HOME", str(self.catalog.with_name("home")))
        patch.setenv("DIFFAGENT_MODELS", str(self.weights))
        patch.setenv("DIFFAGENT_REWARDS", str(self.rewards))

    def calibrate(self, shift: float) -> None:
        """Write a calibration: the pocket one, with another mean."""
        (scale,) = Calibration.load(pocket_calibration()).scales.values()
        told = {"mean": scale.mean + shift, "std": scale.std, "n": scale.n}
        (self.rewards / "calibration.json").write_text(json.dumps({"clip-clip-own": told}), encoding="utf-8")


def own_catalog(folder: Path) -> OwnCatalog:
    """Make one with two checkpoints and a network."""
    made = OwnCatalog(folder / "catalog", folder / "weights", folder / "rewards")
    made.weights.mkdir(parents=True)
    specs = []
    for name in RECORDS:
        text = (POCKET_DIR / "records" / f"{name}.json").read_text(encoding="utf-8")
        for file in re.findall(r'"(\w+\.safetensors)"', text):
            shutil.copy(pocket_file(file), made.weights / f"own_{file}")
        renamed = re.sub(r'"(\w+\.safetensors)"', r'"own_\1"', re.sub(r"\b9(\d{3})\b", r"7\1", text))
        specs += specs_of(json.loads(renamed)).specs
    with CatalogDatabase.open(made.catalog) as database, database.transaction() as writing:
        writing.put_specs(specs, origin="api")
    shutil.copytree(pocket_reward(), made.rewards / "clip-own")
    made.calibrate(0.0)
    return made


def own_pairs(split: str = "train") -> list[Pair]:
    """A fox, a pizza in pixel art, and what nothing can draw."""
    plain = {"family": "pocket", "checkpoint": ANIMALS, "prompt": "a fox on a blue background", "steps": 4}
    styled = {**plain, "checkpoint": FOOD, "prompt": "pixel art, a pizza", "loras": [{"id": PIXEL, "weight": 1.0}]}
    asked = [("fox", "a fox please", "a fox", plain), ("pizza", "a pizza as pixel art", "a pizza, pixel art", styled)]
    drawable = [
        Pair(id=f"{split}-{name}", instruction=text, reference=seen, call=call, split=split)
        for name, text, seen, call in asked
    ]
    return [*drawable, Pair(id=f"{split}-tax", instruction="democracy itself", split=split)]
