"""Writing to the catalog, inside one transaction."""

from __future__ import annotations

import json
import os
import sqlite3
from collections.abc import Iterable
from itertools import chain
from typing import Final

from pydantic import JsonValue

from tool_specs.civitai.records import SetAside
from tool_specs.exceptions import CatalogError
from tool_specs.spec import ToolSpec
from tool_specs.store.batches import batches, marks
from tool_specs.store.bodies import check_readable, digest_of, packed, packed_call, spec_json, uses_in, uses_json
from tool_specs.store.rows import ORIGINS, Counts, Evidence, LocalFile, Origin, Use

MAX_EVIDENCE: Final = 2000
"""Characters of the text of a piece of evidence."""

_PUT_SPEC: Final = """
    INSERT INTO specs (seq, id, model_id, version_id, type, family, model_name, origin, digest, body)
    VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
    ON CONFLICT (id) DO UPDATE SET
        seq = excluded.seq, model_id = excluded.model_id, version_id = excluded.version_id, type = excluded.type,
        family = excluded.family, model_name = excluded.model_name, origin = excluded.origin,
        digest = excluded.digest, body = excluded.body
"""
_PUT_EVIDENCE: Final = """
    INSERT INTO evidence (seq, digest, source_id, text, uses, call) VALUES (?, ?, ?, ?, ?, ?)
    ON CONFLICT (digest) DO UPDATE SET seq = excluded.seq, uses = excluded.uses
"""
_PUT_SET_ASIDE: Final = "INSERT OR REPLACE INTO set_aside (source, place, reason) VALUES (?, ?, ?)"


class Writing:
    """An open transaction; made by `CatalogDatabase.transaction`."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        self._first: int = connection.execute("SELECT seq FROM counter").fetchone()[0]
        self._seq = self._first

    def put_specs(self, specs: Iterable[ToolSpec], *, origin: Origin) -> Counts:
        """Store specs.

        A spec whose content is stored already, or of which a better origin is stored, is not written. A removed spec
        comes back whatever its origin.

        Args:
            specs: Any number; they are taken a few hundred at a time.
            origin: Where they were read.

        Returns:
            What became of them.
        """
        return sum((self._put_specs(batch, ORIGINS.index(origin)) for batch in batches(specs)), Counts())

    def _put_specs(self, specs: tuple[ToolSpec, ...], origin: int) -> Counts:
        ids = [spec.id for spec in specs]
        query = f"SELECT id, origin, digest FROM specs WHERE body IS NOT NULL AND id IN ({marks(ids)})"  # noqa: S608
        known: dict[str, tuple[int, bytes]] = {row[0]: row[1:] for row in self._rows.execute(query, ids)}
        rows, risen = [], []
        added = changed = 0
        for spec in specs:
            content = spec_json(spec)
            digest = digest_of(content)
            was, stored = known.get(spec.id, (-1, b""))
            if origin < was:
                continue
            known[spec.id] = origin, digest
            if stored == digest:
                risen += [(origin, spec.id)] if origin > was else []
                continue
            check_readable(content, spec.id)
            added += was < 0
            changed += was >= 0
            rows.append(
                (
                    self._next(), spec.id, spec.model_id, spec.version_id, spec.type, spec.family, spec.model_name,
                    origin, digest, packed(content),
                )
            )  # fmt: skip
        self._rows.executemany(_PUT_SPEC, rows)
        self._rows.executemany("UPDATE specs SET origin = ? WHERE id = ?", risen)
        return Counts(added, changed, len(specs) - added - changed)

    def remove(self, spec_ids: Iterable[str]) -> int:
        """Remove specs; readers of the changes learn of it.

        Returns:
            How many there were.
        """
        statement = "UPDATE specs SET seq = ?, body = NULL, digest = x'' WHERE id = ? AND body IS NOT NULL"
        removed = 0
        for spec_id in spec_ids:
            if self._rows.execute(statement, (self._seq + 1, spec_id)).rowcount:
                self._seq += 1
                removed += 1
        return removed

    def set_aside(self, items: Iterable[SetAside], *, source: str) -> int:
        """Remember what could not be read; of one place in one source the newest reason stays.

        Args:
            items: What was set aside.
            source: Where it was read: a file, or a model of the API.

        Returns:
            How many items there were.
        """
        rows = [(_plain(source), _plain(item.where), _plain(item.reason)) for item in items]
        self._rows.executemany(_PUT_SET_ASIDE, rows)
        return len(rows)

    def forget_set_aside(self, source: str) -> None:
        """Forget what was set aside of a source and of everything in it, since it is read again.

        Args:
            source: A file, or a folder with the files below it; or what else stands for one, with "/" before its parts.
        """
        inside = _plain(source).rstrip("/") + "/"
        self._rows.execute(
            "DELETE FROM set_aside WHERE source = ? OR source >= ? AND source < ?",
            # What begins with the name and a slash; "0" is the next character.
            (_plain(source), inside, f"{inside[:-1]}0"),
        )

    def put_evidence(self, items: Iterable[Evidence]) -> Counts:
        """Store evidence, one row for each text: the models of the same text are put together.

        The first id, parameters and weight of a model that came with a text stay.

        Raises:
            CatalogError: A text is empty, too long, or not text.
        """
        return sum((self._put_evidence(batch) for batch in batches(items)), Counts())

    def _put_evidence(self, items: tuple[Evidence, ...]) -> Counts:
        digests = [digest_of(_checked(item)) for item in items]
        query = f"SELECT digest, uses FROM evidence WHERE digest IN ({marks(digests)})"  # noqa: S608 - question marks
        known = {digest: uses_in(uses) for digest, uses in self._rows.execute(query, digests)}
        rows = []
        added = changed = 0
        for item, digest in zip(items, digests, strict=True):
            before = known.get(digest)
            uses = _together(before or (), item.uses)
            if uses == before:
                continue
            known[digest] = uses
            added += before is None
            changed += before is not None
            rows.append((self._next(), digest, _plain(item.id), item.text, uses_json(uses), packed_call(item.call)))
        self._rows.executemany(_PUT_EVIDENCE, rows)
        return Counts(added, changed, len(items) - added - changed)

    def put_local_files(self, files: Iterable[LocalFile]) -> None:
        """Remember weights files on this disk, one row for each path."""
        self._rows.executemany(
            "INSERT OR REPLACE INTO local_files (path, size, mtime_ns, sha256, spec_id) VALUES (?, ?, ?, ?, ?)",
            ((os.fsencode(file.path), file.size, file.mtime_ns, file.sha256, file.spec_id) for file in files),
        )

    def forget_local_files(self, paths: Iterable[str]) -> None:
        """Forget weights files; their specs stay."""
        self._rows.executemany("DELETE FROM local_files WHERE path = ?", ((os.fsencode(path),) for path in paths))

    def put_note(self, key: str, value: JsonValue) -> None:
        """Remember a small JSON value, such as how far a sync came."""
        self._rows.execute("INSERT OR REPLACE INTO notes (key, value) VALUES (?, ?)", (key, json.dumps(value)))

    def drop_note(self, key: str) -> None:
        """Forget a note, if there is one."""
        self._rows.execute("DELETE FROM notes WHERE key = ?", (key,))

    def finish(self) -> None:
        """Write down how far the numbering of changes has come; `CatalogDatabase.transaction` calls it."""
        if self._seq > self._first:
            self._rows.execute("UPDATE counter SET seq = ?", (self._seq,))

    @property
    def _rows(self) -> sqlite3.Connection:
        """The connection, as long as what it writes belongs to the transaction."""
        if not self._connection.in_transaction:
            msg = "this transaction on the catalog is over; write inside the `with` block that opened it"
            raise CatalogError(msg)
        return self._connection

    def _next(self) -> int:
        self._seq += 1
        return self._seq


def _together(before: tuple[Use, ...], uses: Iterable[Use]) -> tuple[Use, ...]:
    """Each version once, with the first weight that is known."""
    merged: dict[tuple[int, int | None], Use] = {}
    for use in chain(before, uses):
        key = use.model_id, use.version_id
        if key not in merged or merged[key].weight is None:
            merged[key] = use
    return tuple(merged.values())


def _checked(item: Evidence) -> bytes:
    """The text as bytes."""
    try:
        content = item.text.encode()
    except UnicodeEncodeError:
        content = b""
    if not content.strip() or len(item.text) > MAX_EVIDENCE:
        msg = (
            f"the text of evidence {item.id!r} is not text of 1 to {MAX_EVIDENCE} characters; clean it or leave it out"
        )
        raise CatalogError(msg)
    return content


def _plain(text: str) -> str:
    """Text that SQLite takes: what is none, as in odd file names, is written as escapes."""
    return text.encode("utf-8", "backslashreplace").decode()
