"""The plain way: SQLite FTS5 for the words, a matrix of floats in a file for the vectors, fusion in Python."""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from diffagent_tools.benchmarks.catalog.corpus import Corpus, Entry, Kind
from diffagent_tools.benchmarks.catalog.fusion import DEPTH, fused
from diffagent_tools.benchmarks.catalog.vectors import DIMENSIONS
from diffagent_tools.benchmarks.catalog.words import FUNCTION_WORDS
from tool_specs.store.bodies import packed

_STOP_WORDS = frozenset(FUNCTION_WORDS)


class FtsMatrixStore:
    """A table, a full-text index and a matrix for the specs, and the same for the evidence; row n is row n of each."""

    def __init__(self, folder: Path, corpus: Corpus) -> None:
        self._folder = folder
        self._corpus = corpus

    def build(self) -> None:
        """Store everything in one transaction."""
        connection = self._connect()
        connection.execute("BEGIN")
        for kind in self._corpus.searched:
            connection.execute(f"CREATE TABLE {kind} (number INTEGER PRIMARY KEY, id TEXT, text TEXT, body BLOB)")
            connection.execute(
                f"CREATE VIRTUAL TABLE {kind}_words USING fts5("
                f"text, content='{kind}', content_rowid='number', tokenize='porter unicode61')"
            )
            with self._matrix_path(kind).open("wb") as matrix:
                rows = _rows(self._corpus.batches(kind), matrix.write)
                connection.executemany(f"INSERT INTO {kind} VALUES (?, ?, ?, ?)", rows)  # noqa: S608
            connection.execute(f"INSERT INTO {kind}_words ({kind}_words) VALUES ('rebuild')")  # noqa: S608
            connection.execute(f"CREATE INDEX {kind}_ids ON {kind} (id)")
        connection.execute("COMMIT")
        connection.close()

    def open(self) -> None:
        """Open the file and map the matrices."""
        self._connection = self._connect()
        self._matrices: dict[Kind, NDArray[np.float32]] = {kind: self._matrix(kind) for kind in self._corpus.searched}

    def search(self, text: str, vector: NDArray[np.float32], k: int) -> list[str]:
        """Two rankings for each of the two kinds."""
        rankings = []
        for kind, matrix in self._matrices.items():
            cosines = matrix @ vector
            best = np.argpartition(-cosines, min(DEPTH, len(cosines) - 1))[:DEPTH]
            numbers = best[np.argsort(-cosines[best])].tolist()
            rankings += [self._ids(kind, self._by_words(kind, text)), self._ids(kind, numbers)]
        return fused(rankings, k)

    def upsert(self, spec: Entry) -> None:
        """Change the row, its words and its vector."""
        rows = self._connection.execute("SELECT number, text FROM specs WHERE id = ?", (spec.id,)).fetchall()
        number = rows[0][0] if rows else len(self._matrices["specs"])
        with self._matrix_path("specs").open("r+b") as matrix:
            matrix.seek(number * 4 * DIMENSIONS)
            matrix.write(spec.vector.tobytes())
        self._connection.execute("BEGIN IMMEDIATE")
        if rows:
            self._connection.execute(
                "INSERT INTO specs_words (specs_words, rowid, text) VALUES ('delete', ?, ?)", rows[0]
            )
        self._connection.execute(
            "INSERT OR REPLACE INTO specs VALUES (?, ?, ?, ?)", (number, spec.id, spec.text, packed(spec.body.encode()))
        )
        self._connection.execute("INSERT INTO specs_words (rowid, text) VALUES (?, ?)", (number, spec.text))
        self._connection.execute("COMMIT")
        self._matrices["specs"] = self._matrix("specs")

    def close(self) -> None:
        """Close the file."""
        self._connection.close()

    def _by_words(self, kind: Kind, text: str) -> list[int]:
        words = dict.fromkeys(word for word in re.findall(r"\w+", text.lower()) if word not in _STOP_WORDS)
        query = f"SELECT rowid FROM {kind}_words WHERE {kind}_words MATCH ? ORDER BY rank LIMIT {DEPTH}"  # noqa: S608
        asked = " OR ".join(f'"{word}"' for word in words)
        return [number for (number,) in self._connection.execute(query, (asked,))] if words else []

    def _ids(self, kind: Kind, numbers: list[int]) -> list[str]:
        query = f"SELECT id FROM {kind} WHERE number = ?"  # noqa: S608
        return [self._connection.execute(query, (number,)).fetchone()[0] for number in numbers]

    def _connect(self) -> sqlite3.Connection:
        connection = sqlite3.connect(self._folder / "catalog.sqlite", isolation_level=None)
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = FULL")
        return connection

    def _matrix(self, kind: Kind) -> NDArray[np.float32]:
        return np.memmap(self._matrix_path(kind), np.float32, mode="r").reshape(-1, DIMENSIONS)

    def _matrix_path(self, kind: Kind) -> Path:
        return self._folder / f"{kind}.f32"


def _rows(batches: Iterator[list[Entry]], write: Callable[[bytes], object]) -> Iterator[tuple[int, str, str, bytes]]:
    """The rows of a table, while their vectors are written down."""
    for number, entry in enumerate(entry for batch in batches for entry in batch):
        write(entry.vector.tobytes())
        yield number, entry.id, entry.text, packed(entry.body.encode())
