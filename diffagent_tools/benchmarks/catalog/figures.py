"""What is measured of a store."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Filling:
    """What it takes to fill a store.

    Attributes:
        build_s: Seconds from the rows, with their vectors, to the closed store.
        disk_mb: What it holds on disk then, in 10**6 bytes.
    """

    build_s: float
    disk_mb: float


@dataclass(frozen=True, slots=True)
class Searching:
    """What a store does in a process of its own.

    Attributes:
        first_s: Seconds to open it and answer the first search, beyond imports; its files may be in the system's cache.
        p50_ms: Milliseconds of a search, median; likewise `p99_ms`.
        queries: How many searches these are of.
        found: Share of the searches that have the model they were made for among the first ten.
        upsert_s: Median seconds to store one spec anew and find it with the next search.
        memory_mb: Most memory while it was opened and searched beyond that of the imports, in 10**6 bytes; pages of
            mapped files count.
    """

    first_s: float
    p50_ms: float
    p99_ms: float
    queries: int
    found: float
    upsert_s: float
    memory_mb: float


@dataclass(frozen=True, slots=True)
class Measured:
    """A store's figures, or why there are none.

    Attributes:
        store: Its name in `CONTENDERS`.
        specs: How many it held; likewise `evidence`.
    """

    store: str
    specs: int
    evidence: int
    filling: Filling | None = None
    searching: Searching | None = None
    skipped: str = ""
