"""Weights files in a folder tree that is there already, such as A1111's or ComfyUI's."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from tool_specs.downloads.known_files import Stamp, stamp_of
from tool_specs.exceptions import WeightsError
from tool_specs.importing.folders import contents_of, size_of
from tool_specs.spec import ModelFile, ToolSpec
from tool_specs.store.rows import LocalFile
from tool_specs.weight_files import sha256_of

_logger = logging.getLogger(__name__)


class ModelFolder:
    """Finds the files of specs in a folder tree, which is only read. Threads may share it.

    A file is a spec's when it has its SHA-256, whatever it is called; where a record has no hash, name and size must
    do. Files are hashed when they could be the one, and once: those called like it first, then those of its size.

    Args:
        root: The folder.
        known: Files whose hashes are known, as `diffagent import` stores them (`CatalogDatabase.local_files`).
        on_step: Told what is done, the bytes so far and the bytes at the end, while a file is hashed.
    """

    def __init__(
        self,
        root: Path,
        *,
        known: Iterable[LocalFile] = (),
        on_step: Callable[[str, int, int], None] | None = None,
    ) -> None:
        self._root = root
        self._on_step = on_step
        self._hashes: dict[Stamp, str] = {(file.path, file.size, file.mtime_ns): file.sha256 for file in known}
        self._found: dict[ModelFile, tuple[Path, Stamp]] = {}
        self._lock = threading.Lock()

    def find(self, spec: ToolSpec) -> Path | None:
        """The weights file of a spec; None where it is not in the tree.

        Raises:
            ConfigError: There is no such folder.
        """
        file = spec.primary_file
        if file is None:
            return None
        with self._lock:
            path, stamp = self._found.get(file, (None, None))
            if path is not None and stamp_of(path) == stamp:
                return path
            return self._search(file)

    def _search(self, file: ModelFile) -> Path | None:
        for path in _candidates(file, contents_of(self._root).weights):
            stamp = stamp_of(path)
            if stamp is not None and (not file.sha256 or self._sha256(path, stamp) == file.sha256):
                self._found[file] = path, stamp
                return path
        return None

    def _sha256(self, path: Path, stamp: Stamp) -> str:
        """The hash; empty for a file that cannot be read."""
        if stamp not in self._hashes:
            try:
                self._hashes[stamp] = sha256_of(path, on_progress=self._tell)
            except WeightsError as error:
                _logger.warning("%s", error)
                return ""
        return self._hashes[stamp]

    def _tell(self, done: int, end: int) -> None:
        if self._on_step is not None:
            self._on_step("hashing", done, end)


def _candidates(file: ModelFile, paths: Iterable[Path]) -> Iterator[Path]:
    """The files that could be the one, the likeliest first."""
    size = round(file.size_kb * 1024)
    others = []
    for path in paths:
        if path.name.casefold() == file.name.casefold():
            if file.sha256 or not size or abs(size_of(path) - size) <= max(1024, size / 100):
                yield path
        else:
            others.append(path)
    if file.sha256:
        # Records round to a thousandth of a kibibyte at most.
        yield from (path for path in others if size and abs(size_of(path) - size) <= 1)
