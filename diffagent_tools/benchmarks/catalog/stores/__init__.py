"""The stores that are measured, ours first."""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass
from importlib import import_module
from importlib.util import find_spec
from typing import Final, cast

from diffagent_tools.benchmarks.catalog.stores.protocol import Built, Searched

OURS: Final = "ours"
"""Name of the store that the others are compared with."""
CORES: Final = 2
"""Processor cores that a store may use."""
_HERE: Final = "diffagent_tools.benchmarks.catalog.stores"


@dataclass(frozen=True, slots=True)
class Contender:
    """A store that can be measured.

    Attributes:
        title: What the tables call it.
        note: What it is and does, in a few words.
        place: Module and class, which are imported in the process that measures it and nowhere else.
        needs: Modules that must be installed.
        searched: Whether it can be searched; else only filling it is measured.
        blas_threads: Threads of one matrix product; a store that has threads of its own needs no more.
    """

    title: str
    note: str
    place: tuple[str, str]
    needs: tuple[str, ...] = ()
    searched: bool = True
    blas_threads: int = CORES

    @property
    def lacking(self) -> str:
        """Why it cannot be measured here; empty where it can."""
        missing = [module for module in self.needs if find_spec(module) is None]
        return f"{', '.join(missing)} not installed: pip install --group bench" if missing else ""

    def load(self) -> type[Built]:
        """The class; its libraries are imported."""
        module, name = self.place
        return cast("type[Built]", getattr(import_module(f"{_HERE}.{module}"), name))

    def load_searched(self) -> type[Searched]:
        """The class of a store that can be searched."""
        assert self.searched
        return cast("type[Searched]", self.load())


CONTENDERS: Final[dict[str, Contender]] = {
    OURS: Contender("ours", "28 features of words and vectors, weighed", ("ours", "RankedCatalog"), blas_threads=1),
    "rows": Contender("ours, rows only", "specs read and stored, no index", ("rows", "CatalogRows"), searched=False),
    "lancedb": Contender("LanceDB", "BM25 + HNSW, hybrid with RRF", ("lance", "LanceStore"), needs=("lancedb",)),
    "fts": Contender("SQLite FTS5 + matrix", "BM25 + exact cosines, RRF in Python", ("fts_matrix", "FtsMatrixStore")),
    "memory": Contender(
        "langgraph InMemoryStore", "vectors only, nothing on disk", ("langgraph_memory", "MemoryStore")
    ),
    "sqlite": Contender(
        "langgraph SqliteStore",
        "vectors only",
        ("langgraph_sqlite", "SqliteFileStore"),
        needs=("sqlite_vec",) if hasattr(sqlite3.Connection, "enable_load_extension") else ("sqlite_vec", "pysqlite3"),
    ),
}
"""By the name that `--store` takes."""
