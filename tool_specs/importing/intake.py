"""What has been read on its way into the catalog, a transaction at a time."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from tool_specs.civitai.records import SetAside
from tool_specs.importing.summary import PathSummary
from tool_specs.spec import ToolSpec
from tool_specs.store.database import CatalogDatabase
from tool_specs.store.rows import Evidence, LocalFile, Origin

BATCH: Final = 500
"""Things in one transaction."""


class Intake:
    """Collects what one PATH gives, stores it in batches, and counts it; call `store` at the end.

    Args:
        database: The catalog.
        summary: What is counted.
    """

    def __init__(self, database: CatalogDatabase, summary: PathSummary) -> None:
        self._database = database
        self._summary = summary
        self._specs: list[tuple[Origin, ToolSpec]] = []
        self._evidence: list[Evidence] = []
        self._files: list[LocalFile] = []
        self._set_aside: list[tuple[str, SetAside]] = []

    def take_specs(self, specs: Iterable[ToolSpec], origin: Origin) -> None:
        """Specs that were read."""
        for spec in specs:
            self._summary.read += 1
            self._specs.append((origin, spec))
        self._store_when_full()

    def take_evidence(self, evidence: Evidence) -> None:
        """A pair that was read."""
        self._summary.read += 1
        self._evidence.append(evidence)
        self._store_when_full()

    def take_file(self, file: LocalFile, spec: ToolSpec | None) -> None:
        """A weights file with its own spec, or None where the catalog has one for it."""
        self._summary.read += 1
        self._files.append(file)
        if spec is None:
            self._summary.linked += 1
        else:
            self._specs.append(("local", spec))
        self._store_when_full()

    def set_aside(self, items: Iterable[SetAside], *, source: str) -> None:
        """What was read and is of no use."""
        for item in items:
            self._summary.read += 1
            self._summary.add_reason(item.reason)
            self._set_aside.append((source, item))
        self._store_when_full()

    def refuse(self, file: str, reason: str) -> None:
        """A whole file, or a folder, that was set aside."""
        self.set_aside([SetAside(reason, "file")], source=file)

    def store(self) -> None:
        """Store what has been collected."""
        with self._database.transaction() as writing:
            for origin in dict.fromkeys(origin for origin, _ in self._specs):
                specs = [spec for its_origin, spec in self._specs if its_origin == origin]
                self._summary.counts += writing.put_specs(specs, origin=origin)
            self._summary.counts += writing.put_evidence(self._evidence)
            writing.put_local_files(self._files)
            for source in dict.fromkeys(source for source, _ in self._set_aside):
                writing.set_aside([item for its_source, item in self._set_aside if its_source == source], source=source)
        for kept in (self._specs, self._evidence, self._files, self._set_aside):
            kept.clear()

    def _store_when_full(self) -> None:
        if len(self._specs) + len(self._evidence) + len(self._files) + len(self._set_aside) >= BATCH:
            self.store()
