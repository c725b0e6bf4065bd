"""The models that are drawn with: those that ship, or files of the real size with random numbers."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import Final

from diffagent_tools.backends.diffusers_backend import shipped_file
from diffagent_tools.benchmarks.backend.random_weights import lora_tensors_of, tensors_of, write_random
from tool_specs.calls import Call, to_call
from tool_specs.catalog import Catalog
from tool_specs.configs import CONFIGS_DIR
from tool_specs.pocket import pocket_config
from tool_specs.spec import ToolSpec

PROMPT: Final = "a fox on a blue background"
_RANDOM: Final = (("Checkpoint", 1), ("Checkpoint", 2), ("LORA", 11), ("LORA", 12))
"""Type and model id of the random files."""


@dataclass(frozen=True, slots=True)
class World:
    """Models with their files.

    Attributes:
        catalog: Their specs.
        files: Gives the weights file of a spec.
        config: The diffusers configuration of their family.
        size: Width and height of a picture.
        steps: Denoising steps of a picture, where the workload is drawing.
        requests: How many the mixed workload has.
    """

    catalog: Catalog
    files: Callable[[ToolSpec], Path]
    config: Path
    size: int
    steps: int
    requests: int

    @property
    def checkpoints(self) -> Sequence[str]:
        """Spec ids of the checkpoints."""
        return [spec.id for spec in self.catalog if spec.is_checkpoint]

    @property
    def loras(self) -> Sequence[str]:
        """Spec ids of the LoRAs."""
        return [spec.id for spec in self.catalog if spec.type == "LORA"]

    @property
    def models(self) -> Sequence[tuple[str, Sequence[str]]]:
        """Six models, each a checkpoint with its LoRAs: all checkpoints alone, then each with a LoRA."""
        alone: list[tuple[str, Sequence[str]]] = [(checkpoint, ()) for checkpoint in self.checkpoints]
        return [*alone, *((checkpoint, (lora,)) for lora in self.loras for checkpoint in self.checkpoints)][:6]

    def call(self, checkpoint: str, loras: Sequence[str] = (), *, steps: int, seed: int = 1) -> Call:
        """A call of one of the models."""
        arguments = {
            "prompt": PROMPT,
            "sampler": "DPM++ 2M Karras",
            "steps": steps,
            "width": self.size,
            "height": self.size,
            "seed": seed,
            "loras": [{"id": lora, "weight": 1.0} for lora in loras],
        }
        return to_call(self.catalog.get(checkpoint), arguments)


def _pocket(_folder: Path) -> World:
    return World(Catalog.pocket(), shipped_file, pocket_config(), size=64, steps=20, requests=50)


def _random(folder: Path, *, family: str, base_model: str, size: int) -> World:
    """Two checkpoints and two LoRAs in a folder, which are written there if they are not there yet."""
    records = []
    for model_type, number in _RANDOM:
        path = _path(folder, model_type, number)
        if not path.exists():
            tensors = tensors_of(family) if model_type == "Checkpoint" else lora_tensors_of(family)
            write_random(path, tensors, seed=number)
        records.append(_record(model_type, number, path, base_model))
    by_id = {f"civitai:{number}@{number + 100}": _path(folder, kind, number) for kind, number in _RANDOM}
    catalog = Catalog.from_records(records)
    return World(catalog, lambda spec: by_id[spec.id], CONFIGS_DIR / family, size=size, steps=4, requests=12)


WORLDS: Final[Mapping[str, Callable[[Path], World]]] = MappingProxyType(
    {
        "pocket": _pocket,
        "sd15": partial(_random, family="sd15", base_model="SD 1.5", size=256),
        "sdxl": partial(_random, family="sdxl", base_model="SDXL 1.0", size=1024),
    }
)
"""Name of the weights to what makes the world of them, given a folder for its files."""


def _path(folder: Path, model_type: str, number: int) -> Path:
    return folder / f"{model_type.lower()}{number}.safetensors"


def _record(model_type: str, number: int, path: Path, base_model: str) -> dict[str, object]:
    """The model as Civitai would describe it."""
    size = {"sizeKB": path.stat().st_size / 1024, "metadata": {"format": "SafeTensor"}}
    file = {"id": number, "name": path.name, "type": "Model", "primary": True, **size}
    version = {"id": number + 100, "name": "v1", "baseModel": base_model, "files": [file]}
    return {"id": number, "name": f"Random {model_type} {number}", "type": model_type, "modelVersions": [version]}
