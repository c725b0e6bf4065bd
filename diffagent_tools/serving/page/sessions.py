"""Drawings under way, one for each open page: watched while they run, stopped when the person says so or leaves."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Awaitable, Callable

from diffagent_tools.progress import Emit, Event

Work = Callable[[threading.Event, Emit], Awaitable[None]]
"""Something that takes time: told when to stop, and telling what it does."""


class Sessions:
    """What each open page has under way."""

    def __init__(self) -> None:
        self._stops: dict[str, threading.Event] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    def is_busy(self, session: str) -> bool:
        """Whether a page has something under way."""
        return session in self._stops

    def stop(self, session: str) -> None:
        """Stop what a page has under way, between two steps; a page with nothing under way stays as it is."""
        if (stop := self._stops.get(session)) is not None:
            stop.set()

    async def watched(self, session: str, work: Work) -> AsyncIterator[list[Event]]:
        """Run a work and pass on what it tells, all that has come up since the last time at once.

        When nobody listens any more, the work is told to stop.

        Args:
            session: The page that it is done for.
            work: Runs in this event loop; it may tell from any thread.

        Raises:
            Exception: Whatever the work raises, once all it told has been passed on.
        """
        stop, loop = threading.Event(), asyncio.get_running_loop()
        told: asyncio.Queue[Event | None] = asyncio.Queue()

        def emit(event: Event) -> None:
            loop.call_soon_threadsafe(told.put_nowait, event)

        async def run() -> None:
            try:
                await work(stop, emit)
            finally:
                loop.call_soon(told.put_nowait, None)

        task = asyncio.create_task(run())
        self._tasks.add(task)
        task.add_done_callback(self._ended)
        self._stops[session] = stop
        try:
            while True:
                batch = [await told.get()]
                while not told.empty():
                    batch.append(told.get_nowait())
                if events := [event for event in batch if event is not None]:
                    yield events
                if None in batch:
                    break
            await task
        finally:
            stop.set()
            if self._stops.get(session) is stop:
                del self._stops[session]

    def _ended(self, task: asyncio.Task[None]) -> None:
        """Forget a work, and take note of what it raised: the listener may have left."""
        self._tasks.discard(task)
        if not task.cancelled():
            task.exception()
