"""The catalog on disk: one SQLite file that many processes read while one writes.

A transaction that was committed survives a crash of the process and of the machine. Every change of a spec or of a
piece of evidence gets the next number, `seq`, and a row carries the number of its last change: what follows the catalog
asks for the changes since the number it has seen.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from pydantic import JsonValue

from tool_specs.civitai.records import SetAside
from tool_specs.home import catalog_folder
from tool_specs.nearest import SpecName
from tool_specs.spec import CHECKPOINT_TYPES, NETWORK_TYPES, ToolSpec
from tool_specs.store.batches import BATCH, batches, marks
from tool_specs.store.bodies import call_in, spec_in, uses_in
from tool_specs.store.connections import Connections
from tool_specs.store.rows import Evidence, EvidenceChange, LocalFile, SpecChange, Totals
from tool_specs.store.writing import Writing

FILE_NAME: Final = "catalog.sqlite"


class CatalogDatabase:
    """The catalog in a folder; made by `open`, closed by `close` or at the end of a `with` block.

    One object may be shared by threads. Any number of processes may open the same folder.
    """

    def __init__(self, connections: Connections) -> None:
        self._connections = connections

    @classmethod
    def open(cls, folder: Path | None = None, *, read_only: bool = False) -> Self:
        """Open the catalog in a folder, and make it where there is none.

        Args:
            folder: By default `catalog_folder()`.
            read_only: Only read; nothing is made. On a disk that cannot be written to, the catalog is what it was when
                it was opened.

        Raises:
            CatalogError: There is no catalog (`read_only`), or it is damaged, written by a newer release, or something
                else.
            ConfigError: The folder or the file may not be made or opened, or the disk is full.
        """
        return cls(Connections((folder or catalog_folder()).expanduser() / FILE_NAME, read_only=read_only))

    @property
    def path(self) -> Path:
        """The file."""
        return self._connections.path

    def close(self) -> None:
        """Close the file; the object is of no use afterwards."""
        self._connections.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @contextmanager
    def transaction(self) -> Iterator[Writing]:
        """Write: all of it or, if the block raises, nothing. Others see it when the block has ended.

        Raises:
            CatalogError: A transaction is open in this thread, others have been writing for 30 seconds, or the catalog
                was opened to be read.
            ConfigError: The disk is full or the file may not be written to.
        """
        with self._connections.writing() as connection:
            writing = Writing(connection)
            yield writing
            writing.finish()

    @property
    def version(self) -> int:
        """The number of the last committed change of a spec or of evidence; it only grows."""
        with self._connections.reading() as connection:
            version: int = connection.execute("SELECT seq FROM counter").fetchone()[0]
        return version

    def spec(self, spec_id: str) -> ToolSpec | None:
        """The spec with exactly this id, if there is one."""
        return self.specs([spec_id]).get(spec_id)

    def specs(self, ids: Sequence[str]) -> dict[str, ToolSpec]:
        """Those of the specs that there are, in the order of the ids."""
        bodies: dict[str, bytes] = {}
        for batch in batches(ids):
            query = f"SELECT id, body FROM specs WHERE body IS NOT NULL AND id IN ({marks(batch)})"  # noqa: S608
            bodies |= dict(self._rows(query, batch))
        return {spec_id: spec_in(bodies[spec_id], spec_id) for spec_id in dict.fromkeys(ids) if spec_id in bodies}

    def ids_of_model(self, model_id: int) -> list[str]:
        """The ids of a model's versions, the newest first."""
        query = "SELECT id FROM specs WHERE body IS NOT NULL AND model_id = ? ORDER BY version_id DESC"
        return [row[0] for row in self._rows(query, (model_id,))]

    def versions(self, model_ids: Sequence[int]) -> dict[int, list[ToolSpec]]:
        """The versions of models, the newest first; a model that is not there has none."""
        return {model_id: list(specs) for model_id, specs in self.versions_one_by_one(model_ids).items()}

    def versions_one_by_one(self, model_ids: Sequence[int]) -> dict[int, Iterator[ToolSpec]]:
        """The same, each version read from its row when it is asked for."""
        found: dict[int, list[tuple[str, bytes]]] = {model_id: [] for model_id in model_ids}
        for batch in batches(found):
            query = f"SELECT model_id, id, body FROM specs WHERE body IS NOT NULL AND model_id IN ({marks(batch)}) ORDER BY version_id DESC"  # noqa: S608, E501
            for model_id, spec_id, body in self._rows(query, batch):
                found[model_id].append((spec_id, body))
        return {model_id: (spec_in(body, spec_id) for spec_id, body in rows) for model_id, rows in found.items()}

    def names(self) -> Iterator[SpecName]:
        """What every spec is called, in the order in which they were first stored."""
        query = "SELECT number, id, model_id, version_id, type, model_name FROM specs"
        return (SpecName(*row[1:]) for row in self._in_order(query, "body IS NOT NULL"))

    def all_specs(self, *, type: str | None = None, family: str | None = None) -> Iterator[ToolSpec]:  # noqa: A002
        """Every spec of a model type and a family, in the order in which they were first stored, a few at a time."""
        wanted = {"type": type, "family": family}
        given = {column: value for column, value in wanted.items() if value is not None}
        where = " AND ".join(["body IS NOT NULL", *(f"{column} = ?" for column in given)])
        query = f"SELECT number FROM specs WHERE {where} ORDER BY number"  # noqa: S608 - only names of columns
        for batch in batches(number for (number,) in self._rows(query, tuple(given.values()))):
            query = f"SELECT id, body FROM specs WHERE body IS NOT NULL AND number IN ({marks(batch)}) ORDER BY number"  # noqa: S608
            for spec_id, body in self._rows(query, batch):
                yield spec_in(body, spec_id)

    def spec_changes(self, since: int, upto: int) -> Iterator[SpecChange]:
        """The specs whose last change is after `since` and not after `upto`, in the order of the changes.

        Rows are read a few hundred at a time, so a slow reader holds nothing up. A spec that changes meanwhile is left
        out: its change is after `upto`, for the next call.

        Args:
            since: The `version` that is known already; 0 for everything.
            upto: The `version` to come to.
        """
        query = "SELECT seq, id, body, number FROM specs"
        for seq, spec_id, body, number in self._in_order(query, "seq <= ?", (upto,), key="seq", after=since):
            yield SpecChange(seq, spec_id, None if body is None else spec_in(body, spec_id), number)

    def evidence_changes(self, since: int, upto: int) -> Iterator[EvidenceChange]:
        """The evidence whose last change is after `since` and not after `upto`, as `spec_changes` gives specs."""
        query = "SELECT seq, number, text, uses FROM evidence"
        for seq, number, text, uses in self._in_order(query, "seq <= ?", (upto,), key="seq", after=since):
            yield EvidenceChange(seq, number, text, uses_in(uses))

    def evidence(self, numbers: Sequence[int]) -> dict[int, Evidence]:
        """Pieces of evidence with their parameters, by the number that `evidence_changes` gives."""
        found = {}
        for batch in batches(numbers):
            query = f"SELECT number, text, uses, call, source_id FROM evidence WHERE number IN ({marks(batch)})"  # noqa: S608
            for number, text, uses, call, source_id in self._rows(query, batch):
                found[number] = Evidence(text, uses_in(uses), call_in(call), source_id)
        return found

    def count(self) -> Totals:
        """How much there is of everything."""
        kinds = self._rows("SELECT type, count(*) FROM specs WHERE body IS NOT NULL GROUP BY type")
        ((models, evidence, set_aside, local_files),) = self._rows(
            "SELECT (SELECT count(DISTINCT model_id) FROM specs WHERE body IS NOT NULL),"
            " (SELECT count(*) FROM evidence), (SELECT count(*) FROM set_aside), (SELECT count(*) FROM local_files)"
        )
        return Totals(
            specs=sum(n for _, n in kinds),
            models=models,
            checkpoints=sum(n for kind, n in kinds if kind in CHECKPOINT_TYPES),
            networks=sum(n for kind, n in kinds if kind in NETWORK_TYPES),
            evidence=evidence,
            set_aside=set_aside,
            local_files=local_files,
        )

    def set_aside(self, limit: int) -> list[SetAside]:
        """What could not be read, the newest first; its place begins with the file, or the model of the API."""
        rows = self._rows("SELECT reason, source, place FROM set_aside ORDER BY number DESC LIMIT ?", (limit,))
        return [SetAside(reason, f"{source}: {place}") for reason, source, place in rows]

    def note(self, key: str) -> JsonValue:
        """A note that `Writing.put_note` left, None if there is none."""
        rows = self._rows("SELECT value FROM notes WHERE key = ?", (key,))
        value: JsonValue = json.loads(rows[0][0]) if rows else None
        return value

    def local_files(self) -> list[LocalFile]:
        """The weights files on this disk, in the order of their paths."""
        rows = self._rows("SELECT path, size, mtime_ns, sha256, spec_id FROM local_files ORDER BY path")
        return [LocalFile(os.fsdecode(path), *rest) for path, *rest in rows]

    def _rows(self, query: str, values: Sequence[object] = ()) -> list[tuple]:
        with self._connections.reading() as connection:
            return connection.execute(query, tuple(values)).fetchall()

    def _in_order(
        self, select: str, where: str, values: tuple[object, ...] = (), *, key: str = "number", after: int = 0
    ) -> Iterator[tuple]:
        """Rows in the order of their first column, the key, a batch at a time."""
        query = f"{select} WHERE {key} > ? AND {where} ORDER BY {key} LIMIT {BATCH}"
        while rows := self._rows(query, (after, *values)):
            yield from rows
            after = rows[-1][0]
