"""Whether a folder can be used, said before any work is done for it."""

from __future__ import annotations

import tempfile
from pathlib import Path

from tool_specs.exceptions import ConfigError


def check_writable(folder: Path, *, remedy: str) -> None:
    """Make the folder if need be, and see that files can be written there.

    Args:
        folder: The folder.
        remedy: What to do when it cannot be used.

    Raises:
        ConfigError: It is not a folder, or not writable.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        msg = f"cannot write to the folder {folder}: {error.strerror}; {remedy}"
        raise ConfigError(msg) from error
