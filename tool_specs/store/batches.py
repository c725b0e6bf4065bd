"""Many things a few hundred at a time."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from typing import Final, TypeVar

BATCH: Final = 500
"""Below the least number of parameters that any SQLite takes in one statement (999)."""

Item = TypeVar("Item")


def batches(items: Iterable[Item]) -> Iterator[tuple[Item, ...]]:
    """The items in order, at most `BATCH` at a time."""
    rest = iter(items)
    while batch := tuple(islice(rest, BATCH)):
        yield batch


def marks(values: Sequence[object]) -> str:
    """As many question marks as there are values, for `IN (…)`."""
    return ",".join("?" * len(values))
