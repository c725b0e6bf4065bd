"""What lies in a folder tree: weights, documents that may describe models, pickles, and the rest."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from tool_specs.civitai.records import SetAside
from tool_specs.exceptions import ConfigError
from tool_specs.importing.documents import holds_json
from tool_specs.prompts import clean_text

WEIGHTS: Final = frozenset({".safetensors", ".sft"})
PICKLES: Final = frozenset({".ckpt", ".pt", ".pth", ".bin", ".pkl"})
_DIFFUSERS_MARK: Final = "model_index.json"


@dataclass(slots=True)
class Contents:
    """What one PATH holds.

    Attributes:
        root: The path, with links in it resolved, so that the same folder is always called the same.
        weights: Safetensors files by their suffix.
        documents: Files that begin like JSON.
        refused: What can be told to be of no use without reading it, and why.
        ignored: Files of any other kind.
        unreadable: Folders that could not be looked into.
    """

    root: Path
    weights: list[Path] = field(default_factory=list)
    documents: list[Path] = field(default_factory=list)
    refused: list[SetAside] = field(default_factory=list)
    ignored: int = 0
    unreadable: list[Path] = field(default_factory=list)


def contents_of(path: Path) -> Contents:
    """Look through a file or a folder tree; links are followed, each folder once, and hidden ones are left alone.

    Raises:
        ConfigError: There is no such file or folder.
    """
    if not path.exists():
        msg = f"there is no file or folder {path}: check the path"
        raise ConfigError(msg)
    if not path.is_dir():
        # The name of a link says what is in it; what it points to may be called by its hash.
        contents = Contents(path.parent.resolve() / path.name)
        _sort(contents.root, contents)
        return contents
    contents = Contents(path.resolve())
    for file in _files(contents):
        _sort(file, contents)
    return contents


def _files(contents: Contents) -> Iterator[Path]:
    """The files of the tree, in the order of their names."""
    seen: set[tuple[int, int]] = set()

    def refuse(error: OSError) -> None:
        folder = Path(os.fsdecode(error.filename or contents.root))
        contents.unreadable.append(folder)
        _set_aside(folder, f"the folder cannot be read ({error.strerror or error})", contents)

    for place, folders, names in os.walk(contents.root, followlinks=True, onerror=refuse):
        status = Path(place).stat()
        identity = status.st_dev, status.st_ino
        if identity in seen:
            folders.clear()
            continue
        seen.add(identity)
        if _DIFFUSERS_MARK in names:
            _set_aside(Path(place), "it is a diffusers folder: only single .safetensors files are taken", contents)
            folders.clear()
            continue
        folders[:] = sorted(folder for folder in folders if not folder.startswith("."))
        yield from (Path(place, name) for name in sorted(names))


def _sort(file: Path, contents: Contents) -> None:
    """Put one file where it belongs. Only regular files are opened: a pipe would wait for ever."""
    suffix = file.suffix.lower()
    try:
        if not stat.S_ISREG(file.stat().st_mode):
            contents.ignored += 1
        elif suffix in WEIGHTS:
            contents.weights.append(file)
        elif suffix in PICKLES:
            _set_aside(file, "it is a pickle, which can run code: only .safetensors files are taken", contents)
        elif holds_json(file):
            contents.documents.append(file)
        else:
            contents.ignored += 1
    except OSError as error:
        _set_aside(file, f"it cannot be read ({error.strerror or error})", contents)


def _set_aside(file: Path, reason: str, contents: Contents) -> None:
    contents.refused.append(SetAside(reason, shown_path(file)))


def shown_path(path: Path) -> str:
    """A path as a line of text: bytes that are none are written as escapes, control characters are left out."""
    return clean_text(os.fsencode(path).decode("utf-8", "backslashreplace")).replace("\n", " ")


def size_of(path: Path) -> int:
    """The size of a file in bytes; 0 where it cannot be told."""
    try:
        return path.stat().st_size
    except OSError:
        return 0
