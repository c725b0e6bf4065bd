"""Connections to the catalog file: as many as threads read at once, and one that writes."""

from __future__ import annotations

import sqlite3
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

from tool_specs.exceptions import CatalogError, ConfigError
from tool_specs.store.faults import told_plainly
from tool_specs.store.schema import check_schema, create_tables, is_empty

PATIENCE: Final = 30.0
"""Seconds that a writer waits for another one."""
_STEP: Final = 0.005
"""Seconds between two attempts."""
_PAGE: Final = 8192
"""Bytes; a row takes some 1,600, and pages of half the size leave an eighth of the file empty."""
_WAL_LIMIT: Final = 64 * 2**20
"""Bytes that the write-ahead log keeps on disk after a large transaction."""


class Connections:
    """What reads and writes one catalog file, shared by threads.

    A reader holds a connection only for one query, so that no reader keeps the log from being folded into the file. The
    writer has a connection of its own: what is not committed is seen by nobody, the writing thread's readers included.

    Args:
        path: The file.
        read_only: Whether it may only be read.

    Raises:
        CatalogError: There is no catalog (`read_only`), or the file is damaged, newer, or something else.
        ConfigError: The file may not be opened or made.
    """

    def __init__(self, path: Path, *, read_only: bool) -> None:
        self.path = path
        self._read_only = read_only
        self._idle: list[sqlite3.Connection] = []
        self._closed = False
        self._turn = threading.Lock()
        self._writing_thread: int | None = None
        self._writer: sqlite3.Connection | None = None
        if read_only:
            if _is_absent(path):
                msg = f"there is no catalog in {path.parent}; run `diffagent sync` or `diffagent import PATH` first"
                raise CatalogError(msg)
            with self.reading() as connection:
                check_schema(connection, str(path))
        else:
            self._prepare()

    def close(self) -> None:
        """Close every connection, once no other thread writes; a query that still runs closes its own.

        Raises:
            CatalogError: A transaction is open in this thread.
        """
        self._check_not_writing()
        with self._turn:
            self._closed = True
            if self._writer is not None:
                self._writer.close()
            while self._idle:
                self._idle.pop().close()

    @contextmanager
    def reading(self) -> Iterator[sqlite3.Connection]:
        """A connection to read with, for one query.

        Raises:
            CatalogError: The catalog is closed or damaged.
            ConfigError: The file cannot be read.
        """
        self._check_open()
        with told_plainly(self.path):
            try:
                connection = self._idle.pop()
            except IndexError:
                connection = self._reader()
            try:
                yield connection
            finally:
                self._idle.append(connection)
                if self._closed:
                    with suppress(ValueError):
                        self._idle.remove(connection)
                        connection.close()

    @contextmanager
    def writing(self) -> Iterator[sqlite3.Connection]:
        """A connection inside a transaction that is committed at the end of the block, or undone if it raises.

        Raises:
            CatalogError: A transaction is open in this thread, others have been writing for `PATIENCE` seconds, the
                catalog was opened to be read, or it is damaged.
            ConfigError: The disk is full or the file may not be written to.
        """
        self._check_open()
        if self._read_only:
            msg = f"the catalog {self.path} was opened read-only; open it with read_only=False to write"
            raise CatalogError(msg)
        self._check_not_writing()
        if not self._turn.acquire(timeout=PATIENCE):
            msg = f"another thread has been writing to {self.path} for more than {PATIENCE:.0f} s; end it, or try later"
            raise CatalogError(msg)
        try:
            self._check_open()
            self._writing_thread = threading.get_ident()
            with told_plainly(self.path):
                if self._writer is None:
                    self._writer = self._connect("mode=rw")
                yield from _transaction(self._writer)
        finally:
            self._writing_thread = None
            self._turn.release()

    def _check_open(self) -> None:
        if self._closed:
            msg = f"the catalog {self.path} was closed; open it again"
            raise CatalogError(msg)

    def _check_not_writing(self) -> None:
        if self._writing_thread == threading.get_ident():
            msg = f"a transaction on {self.path} is open in this thread; end it first (they do not nest)"
            raise CatalogError(msg)

    def _prepare(self) -> None:
        """Make the folder, the file and the tables, whichever is missing, and see whether it is a catalog."""
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            msg = (
                f"the folder {self.path.parent} cannot be made ({error.strerror or error}); "
                "set DIFFAGENT_HOME to a folder of yours"
            )
            raise ConfigError(msg) from error
        with told_plainly(self.path):
            connection = self._connect("mode=rwc")
            try:
                if is_empty(connection):
                    connection.execute(f"PRAGMA page_size = {_PAGE}")
                    _patiently(connection, "PRAGMA journal_mode = WAL")
                    for _ in _transaction(connection):
                        # Another process may have made them meanwhile.
                        if is_empty(connection):
                            create_tables(connection)
                check_schema(connection, str(self.path))
                # A copy that SQLite made has no log, without which readers and the writer shut each other out.
                _patiently(connection, "PRAGMA journal_mode = WAL")
            finally:
                connection.close()

    def _reader(self) -> sqlite3.Connection:
        if not self._read_only:
            connection = self._connect("mode=rw")
            connection.execute("PRAGMA query_only = 1")
            return connection
        try:
            connection = self._connect("mode=ro")
            connection.execute("PRAGMA schema_version").fetchone()
        except sqlite3.OperationalError:
            # Even a reader makes files beside a catalog. Where it may not, and nothing waits in a log, the file is all.
            log = self.path.with_name(f"{self.path.name}-wal")
            if not _is_absent(log):
                raise
            return self._connect("immutable=1")
        return connection

    def _connect(self, mode: str) -> sqlite3.Connection:
        connection = sqlite3.connect(
            f"{self.path.absolute().as_uri()}?{mode}",
            uri=True,
            timeout=PATIENCE,
            isolation_level=None,
            # Only one thread at a time has a connection, and `close` may be called in any.
            check_same_thread=False,
        )
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute(f"PRAGMA journal_size_limit = {_WAL_LIMIT}")
        return connection


def _is_absent(path: Path) -> bool:
    """Whether there is no file, or an empty one."""
    try:
        return not path.stat().st_size
    except (FileNotFoundError, NotADirectoryError):
        return True
    except OSError:
        # SQLite will say why it cannot be opened.
        return False


def _transaction(connection: sqlite3.Connection) -> Iterator[sqlite3.Connection]:
    _patiently(connection, "BEGIN IMMEDIATE")
    try:
        yield connection
        connection.execute("COMMIT")
    finally:
        if connection.in_transaction:
            connection.execute("ROLLBACK")


def _patiently(connection: sqlite3.Connection, statement: str) -> None:
    """Run a statement that needs the file for itself, again and again while others have it.

    SQLite's own waiting hears no Ctrl-C, and sleeps so long at a time that a busy writer keeps others out for seconds.
    """
    connection.execute("PRAGMA busy_timeout = 0")
    until = time.monotonic() + PATIENCE
    while True:
        try:
            connection.execute(statement)
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY or time.monotonic() > until:
                raise
            time.sleep(_STEP)
        else:
            return
