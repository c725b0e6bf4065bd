"""The tables of the catalog file, and whether a file has them."""

from __future__ import annotations

import sqlite3
from typing import Final

from tool_specs.exceptions import CatalogError

SCHEMA_VERSION: Final = 1
"""Grows when the tables change, or when a `ToolSpec` of before could not be read any more."""

APPLICATION_ID: Final = 0x44694167
"""Marks the file as a catalog of this project ("DiAg")."""

_TABLES: Final = (
    "CREATE TABLE counter (seq INTEGER NOT NULL)",
    "INSERT INTO counter VALUES (0)",
    # A removed spec keeps its row without a body, so that whoever follows the changes learns of it.
    """CREATE TABLE specs (
        number INTEGER PRIMARY KEY,
        seq INTEGER NOT NULL UNIQUE,
        id TEXT NOT NULL UNIQUE,
        model_id INTEGER NOT NULL,
        version_id INTEGER NOT NULL,
        type TEXT NOT NULL,
        family TEXT NOT NULL,
        model_name TEXT NOT NULL,
        origin INTEGER NOT NULL,
        digest BLOB NOT NULL,
        body BLOB
    )""",
    "CREATE INDEX specs_by_model ON specs (model_id, version_id DESC) WHERE body IS NOT NULL",
    "CREATE INDEX specs_by_type ON specs (type, family, model_id) WHERE body IS NOT NULL",
    """CREATE TABLE evidence (
        number INTEGER PRIMARY KEY,
        seq INTEGER NOT NULL UNIQUE,
        digest BLOB NOT NULL UNIQUE,
        source_id TEXT NOT NULL,
        text TEXT NOT NULL,
        uses TEXT NOT NULL,
        call BLOB NOT NULL
    )""",
    """CREATE TABLE set_aside (
        number INTEGER PRIMARY KEY AUTOINCREMENT,
        source TEXT NOT NULL,
        place TEXT NOT NULL,
        reason TEXT NOT NULL,
        UNIQUE (source, place)
    )""",
    # Paths are bytes: a name on disk need not be text.
    """CREATE TABLE local_files (
        path BLOB PRIMARY KEY,
        size INTEGER NOT NULL,
        mtime_ns INTEGER NOT NULL,
        sha256 TEXT NOT NULL,
        spec_id TEXT NOT NULL
    ) WITHOUT ROWID""",
    "CREATE TABLE notes (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID",
    # What was derived from one catalog is told from what was derived from another by this.
    "INSERT INTO notes VALUES ('identity', '\"' || lower(hex(randomblob(8))) || '\"')",
)


def is_empty(connection: sqlite3.Connection) -> bool:
    """Whether the file holds no table at all."""
    return connection.execute("SELECT count(*) FROM sqlite_schema").fetchone()[0] == 0


def create_tables(connection: sqlite3.Connection) -> None:
    """Make the tables, inside the transaction that is open."""
    for statement in _TABLES:
        connection.execute(statement)
    connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
    connection.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")


def check_schema(connection: sqlite3.Connection, place: str) -> None:
    """See whether the file is a catalog that this release reads.

    Args:
        connection: To the file.
        place: What the error calls the file.

    Raises:
        CatalogError: It is something else, or a newer release wrote it.
    """
    if connection.execute("PRAGMA application_id").fetchone()[0] != APPLICATION_ID:
        msg = f"{place} is an SQLite file of something else; move it away, or set DIFFAGENT_HOME to another folder"
        raise CatalogError(msg)
    version = connection.execute("PRAGMA user_version").fetchone()[0]
    if version > SCHEMA_VERSION:
        msg = (
            f"{place} was written by a newer release (schema {version}; this one reads {SCHEMA_VERSION}); "
            "run `pip install --upgrade diffagent-tools`, or set DIFFAGENT_HOME to another folder"
        )
        raise CatalogError(msg)
