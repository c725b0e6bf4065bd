"""What was made knows what it was made of: rows of another making are not added to it, nor is it taken for another."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

from tool_specs.exceptions import ConfigError
from tool_specs.whole_files import write_whole


def check_same_origin(rows: Path, told: Mapping[str, object], *, note: Path | None = None) -> None:
    """Refuse to add rows to those of another making; the first time, note beside the file what it is made of.

    Args:
        rows: The file of rows, of any ending, or the folder of what is made.
        told: What the rows depend on, as JSON values.
        note: Where that is noted; None: beside the rows, with `.json` behind their name.

    Raises:
        ConfigError: Rows were begun with something else, or the note cannot be read or written.
    """
    note = note or _note_of(rows)
    # A note alone, whose rows were removed, is of no weight.
    found = _noted(rows, note) if rows.exists() else None
    if found is None:
        _write(rows, note, told)
    elif found != told:
        changed = ", ".join(sorted(key for key in found | dict(told) if found.get(key) != told.get(key)))
        msg = f"{rows} was begun with another {changed}; choose another out, or remove this one"
        raise ConfigError(msg)


def is_made_of(product: Path, told: Mapping[str, object]) -> bool:
    """Whether a file or folder is there, and the note beside it says that it was made of just this.

    Raises:
        ConfigError: The note cannot be read.
    """
    return product.exists() and _noted(product, _note_of(product)) == told


def note_origin(product: Path, told: Mapping[str, object]) -> None:
    """Note beside a file or folder, which is whole, what it was made of.

    Raises:
        ConfigError: The note cannot be written.
    """
    _write(product, _note_of(product), told)


def _note_of(product: Path) -> Path:
    return product.with_name(f"{product.name}.json")


def _noted(product: Path, note: Path) -> dict[str, object] | None:
    try:
        found = json.loads(note.read_text(encoding="utf-8")) if note.exists() else None
    except (OSError, ValueError) as error:
        raise _unusable(product, note, error) from error
    if not isinstance(found, dict | None):
        raise _unusable(product, note, "it is no JSON object")
    return found


def _write(product: Path, note: Path, told: Mapping[str, object]) -> None:
    try:
        note.parent.mkdir(parents=True, exist_ok=True)
        write_whole(note, json.dumps(told, indent=2) + "\n")
    except OSError as error:
        raise _unusable(product, note, error) from error


def _unusable(product: Path, note: Path, why: object) -> ConfigError:
    return ConfigError(f"the note on what {product} is made of, {note}, cannot be used ({why}); choose another out")
