"""The pocket world: the small models that ship inside this package, and their records."""

from __future__ import annotations

import json
from pathlib import Path

from tool_specs.exceptions import CatalogError

POCKET_DIR = Path(__file__).resolve().parent
"""The folder of this package: `records/`, `weights/`, `config/`, `reward/`, `planner/`."""

_REMEDY = "reinstall the package, or train it again with `python -m finetune.pocket.train --out DIR --install`"


def pocket_records() -> list[dict[str, object]]:
    """The Civitai-format model objects of the pocket models, in the order of their ids.

    Raises:
        CatalogError: There are none, or one of them is not readable.
    """
    records: list[dict[str, object]] = []
    for path in sorted((POCKET_DIR / "records").glob("*.json")):
        try:
            record = json.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            msg = f"the pocket record {str(path)!r} cannot be read ({error}); {_REMEDY}"
            raise CatalogError(msg) from error
        if not isinstance(record, dict):
            msg = f"the pocket record {str(path)!r} holds no model object; {_REMEDY}"
            raise CatalogError(msg)
        records.append(record)
    if not records:
        msg = f"there are no pocket records in {str(POCKET_DIR / 'records')!r}; {_REMEDY}"
        raise CatalogError(msg)
    return records


def pocket_file(name: str) -> Path:
    """Where a weights file of the pocket world is, whether it exists or not.

    Raises:
        CatalogError: `name` is not the bare name of a file.
    """
    if name != Path(name).name or not name:
        msg = f"{name!r} is not a bare file name; give one such as 'pocket_animals.safetensors'"
        raise CatalogError(msg)
    return POCKET_DIR / "weights" / name


def pocket_config() -> Path:
    """The diffusers-format folder without weights that pocket checkpoints are loaded with."""
    return POCKET_DIR / "config"


def pocket_reward() -> Path:
    """The folder of the pocket reward model, a transformers `CLIPModel`."""
    return POCKET_DIR / "reward"


def pocket_calibration() -> Path:
    """The file that says how the pocket reward scores ordinary pocket pictures."""
    return pocket_reward() / "calibration.json"


def pocket_planner() -> Path:
    """The folder of the pocket planner: a transformers causal language model with its tokenizer and chat template."""
    return POCKET_DIR / "planner"
