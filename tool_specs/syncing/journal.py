"""How far a sync has come, kept as notes in the catalog beside what it has stored.

A page and the note of it are written in one transaction: whenever a sync is killed, the next one goes on with the first
page that is not in the catalog.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Iterable, Mapping
from contextlib import suppress
from typing import Final, TypeVar

from pydantic import ValidationError

from tool_specs.exceptions import CatalogError
from tool_specs.spec import Record
from tool_specs.store.database import CatalogDatabase
from tool_specs.store.writing import Writing
from tool_specs.syncing.dates import newest_of
from tool_specs.syncing.summary import Tally

OVERLAP: Final = 3 * 86_400
"""Seconds before the newest model of the last run that are read again: models are rated, and appear, days late."""
_CLOCK_ERROR: Final = 3600
"""How far ahead of this clock, in seconds, a date may be; creators also enter dates that are years ahead."""

Dates = dict[int, int | None]
"""When each model was published, by its id."""


class Checkpoint(Record):
    """The state of an unfinished sync."""

    run: str
    """A random name, by which two syncs that run at the same time notice each other."""
    full: bool
    started: int
    """Seconds since 1970."""
    floor: int | None
    """Publication time at which it stops; None for the end of the list."""
    cursor: str | None = None
    """Of the next page."""
    newest: int | None = None
    listed: bool = False
    """Whether all pages are read, and only the missing models are left to check."""
    checked: int = 0
    """The largest id of those that are checked; it goes in the order of the ids."""
    tally: Tally = Tally()


class ListedPage(Record):
    """What a run must remember of a page."""

    cursor: str | None
    """What it was asked for with."""
    dates: dict[int, int | None]
    suspects: tuple[int, ...]
    """Models of which the catalog holds versions that the page does not name."""


class CompleteRun(Record):
    """What the last complete sync saw."""

    newest: int | None
    dates: dict[int, int | None]


Kept = TypeVar("Kept", bound=Record)


class Journal:
    """The notes of all syncs with the same filters.

    Attributes:
        checkpoint: The state of the run.
        last: What the last complete run saw; None before the first.
        seen: The models that this run has listed.
        suspects: Models to check of which versions are missing.
        cursors: The cursors of this run's pages.
    """

    def __init__(self, database: CatalogDatabase, key: str, *, full: bool) -> None:
        """Go on with the unfinished run, or start one.

        Args:
            database: The catalog.
            key: Names the filters.
            full: Read everything: an unfinished run that reads only what is new is given up.
        """
        self._database = database
        self._name = f"sync/{key}"
        self.last = self._note(CompleteRun, "last")
        self.seen: Dates = {}
        self.suspects: set[int] = set()
        self.cursors: set[str | None] = set()
        found = self._note(Checkpoint, "checkpoint")
        if found is None or (full and not found.full):
            self.start(full=full)
        else:
            self.checkpoint = found
            self._read_pages()

    @property
    def resumed(self) -> bool:
        """Whether pages of this run are in the catalog."""
        return self.checkpoint.tally.pages > 0

    def start(self, *, full: bool) -> None:
        """Start a run and give up an unfinished one."""
        self.seen, self.suspects, self.cursors = {}, set(), set()
        newest = self.last.newest if self.last else None
        self.checkpoint = Checkpoint(
            run=secrets.token_hex(8),
            full=full or newest is None,
            started=int(time.time()),
            floor=None if full or newest is None else newest - OVERLAP,
        )
        with self._database.transaction() as writing:
            self._drop(writing)
            self._put(writing, "checkpoint", self.checkpoint)

    def add_page(
        self, writing: Writing, page: ListedPage, tally: Tally, *, next_cursor: str | None, listed: bool
    ) -> None:
        """Write down a page, in the transaction that stores it."""
        self._check_alone()
        before = self.checkpoint
        dates = (date for date in page.dates.values() if date is not None and date <= time.time() + _CLOCK_ERROR)
        after = before.model_copy(
            update={
                "cursor": next_cursor,
                "newest": newest_of([before.newest, *dates]),
                "listed": listed,
                "tally": before.tally + tally,
            }
        )
        self._put(writing, f"page/{before.tally.pages}", page)
        self._put(writing, "checkpoint", after)
        self.checkpoint = after
        self._remember(page)

    def add_checked(self, writing: Writing, model_id: int, tally: Tally) -> None:
        """Write down that the models up to this id are checked, in the transaction that stores the result."""
        self._check_alone()
        before = self.checkpoint
        self.checkpoint = before.model_copy(update={"checked": model_id, "tally": before.tally + tally})
        self._put(writing, "checkpoint", self.checkpoint)

    def complete(self, kept: Iterable[int]) -> None:
        """Write down that the run has come to its end.

        Args:
            kept: Models that it did not list and that are there nevertheless.
        """
        last = self.last.dates if self.last else {}
        before = {} if self.checkpoint.full else last
        dates = {**before, **{model: last.get(model) for model in kept}, **self.seen}
        newest = newest_of([self.checkpoint.newest, self.last.newest if self.last else None])
        with self._database.transaction() as writing:
            self._check_alone()
            self._put(writing, "last", CompleteRun(newest=newest, dates=dates))
            self._drop(writing)

    def give_up(self) -> None:
        """Forget the run, so that the next one starts at the beginning."""
        with self._database.transaction() as writing:
            self._check_alone()
            self._drop(writing)

    def _check_alone(self) -> None:
        found = self._note(Checkpoint, "checkpoint")
        if found != self.checkpoint:
            msg = f"another sync with the same filters writes to {self._database.path}; let one of them come to its end"
            raise CatalogError(msg)

    def _read_pages(self) -> None:
        for number in range(self.checkpoint.tally.pages):
            if page := self._note(ListedPage, f"page/{number}"):
                self._remember(page)

    def _remember(self, page: ListedPage) -> None:
        self.seen |= page.dates
        self.suspects |= set(page.suspects)
        self.cursors.add(page.cursor)

    def _drop(self, writing: Writing) -> None:
        """Drop what is noted of the unfinished run."""
        found = self._note(Checkpoint, "checkpoint")
        for number in range(found.tally.pages if found else 0):
            writing.drop_note(f"{self._name}/page/{number}")
        writing.drop_note(f"{self._name}/checkpoint")

    def _note(self, kind: type[Kept], name: str) -> Kept | None:
        """A note; None where there is none, or only one that another release wrote and this one cannot read."""
        with suppress(ValidationError):
            found = self._database.note(f"{self._name}/{name}")
            return None if not isinstance(found, Mapping) else kind.model_validate(found)
        return None

    def _put(self, writing: Writing, name: str, note: Record) -> None:
        writing.put_note(f"{self._name}/{name}", note.model_dump(mode="json"))
