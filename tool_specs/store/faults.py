"""What SQLite complains of, in words that say what to do."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from tool_specs.exceptions import CatalogError, ConfigError, DiffAgentError

_ELSEWHERE: Final = "set DIFFAGENT_HOME to another folder"
_DAMAGED: Final = "is damaged; move it away and fill a new one with `diffagent sync` or `diffagent import`"

_FAULTS: Final[dict[int, tuple[type[DiffAgentError], str]]] = {
    sqlite3.SQLITE_NOTADB: (CatalogError, _DAMAGED),
    sqlite3.SQLITE_CORRUPT: (CatalogError, _DAMAGED),
    # What a table or column that is not there gives.
    sqlite3.SQLITE_ERROR: (CatalogError, _DAMAGED),
    sqlite3.SQLITE_BUSY: (CatalogError, "is in use by another process; wait until that has finished, then try again"),
    sqlite3.SQLITE_FULL: (ConfigError, f"cannot grow: the disk is full; free some space or {_ELSEWHERE}"),
    sqlite3.SQLITE_IOERR: (ConfigError, f"cannot be read or written: free some space, check the disk, or {_ELSEWHERE}"),
    sqlite3.SQLITE_READONLY: (ConfigError, f"may not be written to; change its permissions or {_ELSEWHERE}"),
    sqlite3.SQLITE_PERM: (ConfigError, f"may not be opened; change its permissions or {_ELSEWHERE}"),
    sqlite3.SQLITE_CANTOPEN: (
        ConfigError,
        f"cannot be opened; check that its folder exists and may be read and written to, or {_ELSEWHERE}",
    ),
}
"""Primary result code to the type of the error and what it says of the file."""


@contextmanager
def told_plainly(path: Path) -> Iterator[None]:
    """Turn the errors of SQLite inside the block into this project's.

    Args:
        path: The file, which the message names.

    Raises:
        CatalogError: The file is damaged or in use.
        ConfigError: The disk is full, or the file may not be read or written to.
    """
    try:
        yield
    except sqlite3.Error as error:
        # Errors of Python's module itself, such as one about a closed connection, carry no code.
        code = getattr(error, "sqlite_errorcode", None)
        kind, problem = _FAULTS.get((code or 0) & 0xFF, (CatalogError, "cannot be used"))
        msg = f"the catalog {path} {problem} ({error})"
        raise kind(msg) from error
