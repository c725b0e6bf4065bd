"""Where this project keeps things on a person's disk."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

from tool_specs.exceptions import ConfigError

HOME_VARIABLE: Final = "DIFFAGENT_HOME"


def home_folder() -> Path:
    """The folder for all that this project keeps: `DIFFAGENT_HOME`, else `~/.cache/diffagent`.

    Raises:
        ConfigError: It begins with the home folder of a person who has none.
    """
    return named_folder(os.environ.get(HOME_VARIABLE) or "~/.cache/diffagent", HOME_VARIABLE)


def named_folder(given: str, variable: str) -> Path:
    """The folder that a variable of the environment names.

    Raises:
        ConfigError: It begins with the home folder of a person who has none.
    """
    try:
        return Path(given).expanduser()
    except RuntimeError as error:
        msg = f"there is no home folder for {given!r}; set {variable} to a folder of yours"
        raise ConfigError(msg) from error


def catalog_folder() -> Path:
    """The folder of the catalog inside `home_folder()`."""
    return home_folder() / "catalog"


def models_folder() -> Path:
    """The folder of downloaded weights inside `home_folder()`."""
    return home_folder() / "models"
