"""Weights files whose hashes are known, wherever they lie."""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path

from tool_specs.spec import ToolSpec
from tool_specs.store.rows import LocalFile

Stamp = tuple[str, int, int]
"""Path, size and time of change of a file as it was hashed."""


def stamp_of(path: Path) -> Stamp | None:
    """What changes when a file does; None where there is none."""
    try:
        status = path.stat()
    except OSError:
        return None
    return os.fspath(path), status.st_size, status.st_mtime_ns


class KnownFiles:
    """Finds the files of specs among those that `diffagent import` and `diffagent fetch` have read.

    Args:
        files: As the stored catalog has them; one that has changed since is not used.
    """

    def __init__(self, files: Iterable[LocalFile] = ()) -> None:
        self._by_hash: dict[str, list[LocalFile]] = defaultdict(list)
        self._by_spec: dict[str, list[LocalFile]] = defaultdict(list)
        for file in files:
            self._by_hash[file.sha256].append(file)
            self._by_spec[file.spec_id].append(file)

    def find(self, spec: ToolSpec) -> Path | None:
        """The weights file of a spec: one with its SHA-256, where its record has that; None where none is there."""
        wanted = spec.primary_file
        if wanted is None:
            return None
        files = self._by_hash.get(wanted.sha256, ()) if wanted.sha256 else self._by_spec.get(spec.id, ())
        for file in files:
            path = Path(file.path)
            if path.suffix.casefold() == ".safetensors" and stamp_of(path) == (file.path, file.size, file.mtime_ns):
                return path
        return None
