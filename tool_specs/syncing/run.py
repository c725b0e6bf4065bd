"""One run of a sync: list the pages, then check what was missing from them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Final, Literal, TypeVar

from tool_specs.civitai.client import CivitaiClient, JsonObject, Page, together
from tool_specs.civitai.queries import MAX_LIMIT
from tool_specs.exceptions import CivitaiError
from tool_specs.store.database import CatalogDatabase
from tool_specs.syncing.dates import date_of, published
from tool_specs.syncing.filters import SyncFilters, known_filters
from tool_specs.syncing.intake import checked_intake, is_there, listed_intake
from tool_specs.syncing.journal import Journal, ListedPage
from tool_specs.syncing.summary import Outcome, SyncProgress, SyncSummary, Tally

MAX_FRUITLESS_PAGES: Final = 10
"""So many pages in a row without a model that was not there before: the list goes in circles, or its end is lost."""

_CHECKED_AT_ONCE: Final = 10
"""Models that are asked for one by one, in one transaction."""

OnProgress = Callable[[SyncProgress], None]
Result = TypeVar("Result")


async def sync(
    database: CatalogDatabase,
    client: CivitaiClient,
    filters: SyncFilters | None = None,
    *,
    full: bool = False,
    limit: int | None = None,
    on_progress: OnProgress | None = None,
) -> SyncSummary:
    """Bring the catalog in step with Civitai.

    The first run with some filters reads all that they admit, each later one what was published since. A run that was
    interrupted, in whatever way, goes on where it stopped: a page is in the catalog whole or not at all.

    Args:
        database: The catalog.
        client: Civitai.
        filters: Which models; by default all that draw and are safe for all.
        full: Read everything again. Only this notices changes of old models, and old ones that vanished.
        limit: Read so many models, then stop; the next run goes on from there.
        on_progress: Called after each step that is in the catalog.

    Raises:
        CivitaiError: Civitai could not be reached, or refused. What was done is kept.
        CatalogError: The catalog cannot be written to, or another sync with the same filters is running.
        ConfigError: The disk is full.
        RequestError: Civitai knows no such type or base model.
    """
    filters = await known_filters(filters or SyncFilters(), client)
    # A thread of its own, so that the next page can arrive meanwhile; its `with` waits until a page is written whole.
    with ThreadPoolExecutor(1, "sync") as worker:
        run = _Run(database, client, filters, worker, on_progress)
        return await run.go(full=full, limit=limit)


class _Run:
    def __init__(
        self,
        database: CatalogDatabase,
        client: CivitaiClient,
        filters: SyncFilters,
        worker: ThreadPoolExecutor,
        on_progress: OnProgress | None,
    ) -> None:
        self._database = database
        self._client = client
        self._filters = filters
        self._worker = worker
        self._on_progress = on_progress
        self._journal: Journal
        self._reached: int | None = None
        self._to_check = 0

    async def go(self, *, full: bool, limit: int | None) -> SyncSummary:
        self._journal = await self._in_thread(
            lambda: Journal(self._database, self._filters.key(self._client.address), full=full)
        )
        resumed = self._journal.resumed
        outcome = "complete" if self._journal.checkpoint.listed else await self._list(limit)
        if outcome == "complete":
            await self._check()
        return SyncSummary(
            tally=self._journal.checkpoint.tally,
            full=self._journal.checkpoint.full,
            resumed=resumed,
            outcome=outcome,
        )

    async def _list(self, limit: int | None) -> Outcome:
        """Read page after page; each is stored while the next arrives."""
        cursor = self._journal.checkpoint.cursor
        left = limit
        fruitless = 0
        upcoming = self._fetch(cursor, left)
        try:
            page = await self._first(upcoming, cursor, left)
            while True:
                cursor = self._journal.checkpoint.cursor
                left = None if left is None else left - len(page.items)
                ended = self._is_past(page) or page.next_cursor is None
                circular = not ended and (page.next_cursor == cursor or page.next_cursor in self._journal.cursors)
                limited = left is not None and left <= 0
                if not (ended or circular or limited):
                    upcoming = self._fetch(page.next_cursor, left)
                new = await self._in_thread(partial(self._store, page, listed=ended))
                self._tell("listing")
                fruitless = 0 if new else fruitless + 1
                if ended:
                    return "complete"
                if circular or fruitless >= MAX_FRUITLESS_PAGES:
                    await self._in_thread(self._journal.give_up)
                    return "circular"
                if limited:
                    return "limited"
                page = await upcoming
        finally:
            upcoming.cancel()
            await asyncio.gather(upcoming, return_exceptions=True)

    def _fetch(self, cursor: str | None, left: int | None) -> asyncio.Task[Page]:
        size = MAX_LIMIT if left is None else min(left, MAX_LIMIT)
        return asyncio.create_task(self._client.models(self._filters.query(size), cursor))

    async def _first(self, upcoming: asyncio.Task[Page], cursor: str | None, left: int | None) -> Page:
        """The first page; from the beginning where Civitai no longer takes an old cursor."""
        try:
            return await upcoming
        except CivitaiError as error:
            if cursor is None or error.status not in (400, 404):
                raise
        await self._in_thread(lambda: self._journal.start(full=self._journal.checkpoint.full))
        return await self._fetch(None, left)

    def _is_past(self, page: Page) -> bool:
        """Whether nothing on a page is as new as what this run is to read."""
        floor = self._journal.checkpoint.floor
        dates = [date for date in map(published, page.items) if date is not None]
        self._reached = dates[-1] if dates else self._reached
        return floor is not None and bool(dates) and max(dates) < floor

    def _store(self, page: Page, *, listed: bool) -> int:
        """Store a page.

        Returns:
            How many models on it were not listed before.
        """
        intake = listed_intake(page.items, self._filters, self._database, self._journal.seen)
        note = ListedPage(cursor=self._journal.checkpoint.cursor, dates=intake.dates, suspects=tuple(intake.suspects))
        with self._database.transaction() as writing:
            tally = intake.write(writing) + Tally(pages=1)
            self._journal.add_page(writing, note, tally, next_cursor=page.next_cursor, listed=listed)
        return intake.models

    async def _check(self) -> None:
        """Ask for each model that was missing, or of which versions were."""
        suspects = await self._in_thread(self._suspects)
        left = [model for model in suspects if model > self._journal.checkpoint.checked]
        self._to_check = self._journal.checkpoint.tally.checked + len(left)
        for start in range(0, len(left), _CHECKED_AT_ONCE):
            batch = left[start : start + _CHECKED_AT_ONCE]
            found = await together(map(self._look, batch))
            answers = {model: record for model, (told, record) in zip(batch, found, strict=True) if told}
            await self._in_thread(partial(self._store_checked, batch, answers))
            self._tell("checking")
        await self._in_thread(
            lambda: self._journal.complete([model for model in suspects if is_there(self._database, model)])
        )

    def _suspects(self) -> list[int]:
        """Models to ask for one by one: what the last run saw and this one should have, and what lost a version."""
        journal = self._journal
        floor = journal.checkpoint.floor
        if floor is None:
            floor = self._filters.reach(journal.checkpoint.started)
        last = journal.last.dates if journal.last else {}
        missing = [
            model
            for model, date in last.items()
            if model not in journal.seen
            and (floor is None or (date is not None and date >= floor))
            and is_there(self._database, model)
        ]
        return sorted({*missing, *journal.suspects})

    async def _look(self, model_id: int) -> tuple[bool, JsonObject | None]:
        """Whether Civitai tells about a model, and what."""
        try:
            return True, await self._client.model(model_id)
        except CivitaiError as error:
            if error.transient or error.status is None:
                raise
            return False, None

    def _store_checked(self, batch: Sequence[int], answers: Mapping[int, JsonObject | None]) -> None:
        intake = checked_intake(answers, self._filters, self._database)
        with self._database.transaction() as writing:
            tally = intake.write(writing) + Tally(checked=len(batch))
            self._journal.add_checked(writing, batch[-1], tally)

    def _tell(self, phase: Literal["listing", "checking"]) -> None:
        if self._on_progress is None:
            return
        checkpoint, last = self._journal.checkpoint, self._journal.last
        self._on_progress(
            SyncProgress(
                phase=phase,
                tally=checkpoint.tally,
                reached=date_of(self._reached),
                until=date_of(checkpoint.floor),
                expected_models=len(last.dates) if last and checkpoint.full else None,
                to_check=self._to_check,
            )
        )

    async def _in_thread(self, work: Callable[[], Result]) -> Result:
        return await asyncio.get_running_loop().run_in_executor(self._worker, work)
