"""The words after a training command: one file of settings, and settings that change it."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeVar

import click
from pydantic import BaseModel

from finetune.settings import load_settings

F = TypeVar("F", bound=Callable[..., object])
S = TypeVar("S", bound=BaseModel)


def words_argument(function: F) -> F:
    """Give a command the argument `words`."""
    return click.argument("words", nargs=-1, metavar="[CONFIG.yaml] [KEY=VALUE]...")(function)


def settings_from(kind: type[S], words: Sequence[str]) -> S:
    """Settings from a command's words.

    Args:
        kind: Their class.
        words: At most one file, which is a word without `=`, and `key=value` words.

    Raises:
        UsageError: There are several files, or no words at all.
        ConfigError: The settings cannot be used.
    """
    files = [word for word in words if "=" not in word]
    if len(files) > 1 or not words:
        msg = f"give one YAML file, key=value words, or both; got {' '.join(words) or 'nothing'}"
        raise click.UsageError(msg)
    return load_settings(kind, Path(files[0]) if files else None, [word for word in words if "=" in word])


def tell(folder: Path) -> None:
    """Print the folder that a command made; of several processes that `accelerate launch` started, one does."""
    if os.environ.get("RANK", "0") == "0":
        click.echo(folder)
