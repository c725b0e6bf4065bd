"""langgraph's `SqliteStore`, which compares vectors in an extension of SQLite."""

from __future__ import annotations

import sqlite3
from importlib import import_module

from langgraph.store.sqlite import SqliteStore

from diffagent_tools.benchmarks.catalog.stores.langgraph_store import LanggraphStore

MODULE = "sqlite3" if hasattr(sqlite3.Connection, "enable_load_extension") else "pysqlite3"
"""Many builds of Python leave out the loading of extensions; this package has it."""


class SqliteFileStore(LanggraphStore):
    """One file."""

    def build(self) -> None:
        """Fill it."""
        self.open()
        self._fill()
        self.close()

    def open(self) -> None:
        """Open the file."""
        path = self._folder / "store.sqlite"
        connect = import_module(MODULE).connect
        self._connection: sqlite3.Connection = connect(path, check_same_thread=False, isolation_level=None)
        self._connection.execute("PRAGMA journal_mode = WAL")
        store = SqliteStore(self._connection, index=self._index)
        store.setup()
        self._store = store

    def close(self) -> None:
        """Close the file."""
        self._connection.close()
