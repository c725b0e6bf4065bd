"""The databases that keep threads in the tests."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from langgraph.checkpoint.base import BaseCheckpointSaver
from langgraph.checkpoint.sqlite import SqliteSaver


@contextmanager
def kept_threads(folder: Path, postgres: str | None = None) -> Iterator[BaseCheckpointSaver[str]]:
    """Threads in the PostgreSQL database with this connection string, else in an SQLite file of the folder."""
    if postgres is None:
        with SqliteSaver.from_conn_string(str(folder / "threads.sqlite")) as saver:
            yield saver
        return
    from langgraph.checkpoint.postgres import PostgresSaver

    with PostgresSaver.from_conn_string(postgres) as saver:
        saver.setup()
        yield saver
