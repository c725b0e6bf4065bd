"""The weights behind the models of a catalog, as far as they tell one picture of a call from another."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path

from tool_specs.calls import Call
from tool_specs.catalog import AnyCatalog
from tool_specs.exceptions import CatalogError, WeightsError
from tool_specs.file_fingerprints import fingerprint_of
from tool_specs.pocket import pocket_file
from tool_specs.spec import ToolSpec


class DrawnWeights:
    """Tells the weights of models from others under the same ids, and reads no file whole.

    A model whose record has a SHA-256 is known by it: such a file is loaded only if it has that hash. Of the others,
    and of those that ship, the file itself is looked at, once for as long as it does not change.

    Args:
        catalog: Where the ids of a call are looked up.
        files: Gives the weights file of a spec, as the backend is given it.
    """

    def __init__(self, catalog: AnyCatalog, files: Callable[[ToolSpec], Path]) -> None:
        self._catalog = catalog
        self._files = files
        self._read: dict[tuple[Path, int, int], str] = {}

    def of_call(self, call: Call) -> dict[str, str]:
        """What stands for the weights of each model that a call names, by spec id; empty for one that is unknown.

        Raises:
            WeightsError: A file that has to be looked at is missing or cannot be read.
            DownloadError: It cannot be downloaded.
        """
        return {name: self._of_id(name) for name in (call.checkpoint, *(use.id for use in call.loras))}

    def specs_of(self, call: Call) -> list[ToolSpec]:
        """The records of the models that a call names, as far as the catalog has them."""
        names = (call.checkpoint, *(use.id for use in call.loras))
        return [self._catalog.get(name) for name in names if name in self._catalog]

    def of_catalog(self) -> str:
        """Stands for all models that a call can name and for their weights, where the records say what those are.

        Raises:
            WeightsError: A file that ships cannot be read.
        """
        models = sorted((spec.id, self._told(spec)) for spec in self._catalog if spec.is_checkpoint or spec.is_network)
        return hashlib.sha256(json.dumps(models).encode()).hexdigest()

    def _of_id(self, name: str) -> str:
        try:
            spec = self._catalog.get(name)
        except CatalogError:
            return ""
        return self._told(spec) or self._looked_at(self._files(spec))

    def _told(self, spec: ToolSpec) -> str:
        """What the record or, since nobody compares it with its record, a file that ships says; empty for nothing."""
        file = spec.primary_file
        if file is None:
            return ""
        if spec.is_shipped and (shipped := pocket_file(file.name)).is_file():
            return self._looked_at(shipped)
        return file.sha256 or ""

    def _looked_at(self, path: Path) -> str:
        try:
            status = path.stat()
            key = path, status.st_size, status.st_mtime_ns
            if key not in self._read:
                self._read[key] = fingerprint_of([path])
        except OSError as error:
            msg = f"the weights file {path} cannot be read ({error.strerror or error}); download or import it again"
            raise WeightsError(msg) from error
        return self._read[key]
