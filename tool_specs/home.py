"""Where this project keeps things on a person's disk."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

HOME_VARIABLE: Final = "DIFFAGENT_HOME"


def home_folder() -> Path:
    """The folder for all that this project keeps: `DIFFAGENT_HOME`, else `~/.cache/diffagent`."""
    return Path(os.environ.get(HOME_VARIABLE) or "~/.cache/diffagent").expanduser()


def catalog_folder() -> Path:
    """The folder of the catalog inside `home_folder()`."""
    return home_folder() / "catalog"
