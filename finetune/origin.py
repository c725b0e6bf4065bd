"""A file of rows knows what it was made of, so that none of another making are added to it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

from tool_specs.exceptions import ConfigError
from tool_specs.whole_files import write_whole


def check_same_origin(rows: Path, told: Mapping[str, object]) -> None:
    """Refuse to add rows to those of another making; the first time, note beside the file what it is made of.

    Args:
        rows: The file of rows, of any ending; the note is beside it, with `.json` behind its name.
        told: What the rows depend on, as JSON values.

    Raises:
        ConfigError: Rows were begun with something else, or the note cannot be read or written.
    """
    path = rows.with_name(f"{rows.name}.json")
    try:
        found = json.loads(path.read_text(encoding="utf-8")) if path.exists() else None
        if found is None:
            path.parent.mkdir(parents=True, exist_ok=True)
            write_whole(path, json.dumps(told, indent=2) + "\n")
    except (OSError, ValueError) as error:
        msg = f"the note on what {rows} is made of, {path}, cannot be used ({error}); choose another out"
        raise ConfigError(msg) from error
    if found is not None and found != told:
        changed = ", ".join(sorted(key for key in found | dict(told) if found.get(key) != told.get(key)))
        msg = f"{rows} was begun with another {changed}; choose another out, or remove this one"
        raise ConfigError(msg)
