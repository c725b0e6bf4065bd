"""Who is served next, when more ask than can be served at once."""

from __future__ import annotations

import asyncio
import itertools
import math
from collections import Counter
from time import monotonic
from types import TracebackType
from typing import Final, Self

from diffagent_tools.serving.api.errors import SERVER_FAULT, ApiError

FIRST_GUESS_SECONDS: Final = 5.0
"""How long one turn takes, as long as none has ended."""
LONGEST_WAIT_SECONDS: Final = 60
"""Largest `Retry-After`; OpenAI's clients heed none above it."""
_MEMORY: Final = 0.8


class FairQueue:
    """A few places, and turns that wait for one: of all clients, the one whose last turn is longest ago is next.

    So a client with ten turns waiting and one with a single turn are served alternately. Belongs to one event loop.
    """

    def __init__(self, *, places: int, waiting: int, per_client: int) -> None:
        """Make an empty queue.

        Args:
            places: Turns that run at the same time.
            waiting: Turns that may wait.
            per_client: Of those, turns of one client.
        """
        self._places = places
        self._waiting_limit = waiting
        self._per_client = per_client
        self._numbers = itertools.count(1)
        self._served = 0
        self._waiting: list[Turn] = []
        self._running: set[Turn] = set()
        self._last: dict[str, float] = {}
        """Which turn of all was the last one of each client that is here."""
        self._seconds = FIRST_GUESS_SECONDS
        self._closed = False

    @property
    def waiting(self) -> int:
        """Turns that wait."""
        return len(self._waiting)

    @property
    def running(self) -> int:
        """Turns that run."""
        return len(self._running)

    def enter(self, client: str, turns: int = 1) -> list[Turn]:
        """Stand in line, with all turns or with none.

        Args:
            client: Whose turns they are.
            turns: How many.

        Raises:
            ApiError: The queue is full (429), or the server is being stopped (503).
        """
        if self._closed:
            raise _stopping()
        free = self._places - self.running if not self._waiting else 0
        mine = Counter(turn.client for turn in self._waiting)[client]
        new = max(turns - free, 0)
        if new and (self.waiting + new > self._waiting_limit or mine + new > self._per_client):
            raise self._full(mine + new)
        # Who comes stands before the client that was served last, and behind all others that wait.
        self._last.setdefault(client, self._served - 0.5)
        entered = [Turn(self, client, next(self._numbers)) for _ in range(turns)]
        self._waiting += entered
        self._serve()
        return entered

    def close(self) -> None:
        """Send away all who wait and all who come; those who run may end."""
        self._closed = True
        for turn in self._waiting:
            if not turn.granted.done():
                turn.granted.set_exception(_stopping())
        self._waiting = []

    def leave(self, turn: Turn) -> None:
        """End a turn, whether it runs, waits or has ended; the next one starts."""
        if turn in self._running:
            self._running.discard(turn)
            self._seconds = _MEMORY * self._seconds + (1 - _MEMORY) * (monotonic() - turn.started)
        elif turn in self._waiting:
            self._waiting.remove(turn)
        self._serve()

    def _serve(self) -> None:
        self._waiting = [turn for turn in self._waiting if not turn.granted.cancelled()]
        while self._waiting and self.running < self._places:
            turn = min(self._waiting, key=lambda one: (self._last[one.client], one.number))
            self._waiting.remove(turn)
            self._running.add(turn)
            self._served += 1
            self._last[turn.client] = self._served
            turn.started = monotonic()
            turn.granted.set_result(None)
        here = {turn.client for turn in (*self._waiting, *self._running)}
        self._last = {client: when for client, when in self._last.items() if client in here}

    def _full(self, wanted: int) -> ApiError:
        whose = f"{wanted} from you" if wanted > self._per_client else f"{self.waiting} in all"
        seconds = math.ceil(min(max(self._seconds * self.waiting / self._places, 1), LONGEST_WAIT_SECONDS))
        msg = f"too many requests are waiting ({whose}); try again in {seconds} s"
        return ApiError(429, msg, type="rate_limit_error", code="queue_full", headers={"Retry-After": str(seconds)})


class Turn:
    """One turn in a `FairQueue`: `async with turn:` waits for a place, and gives it back."""

    def __init__(self, queue: FairQueue, client: str, number: int) -> None:
        self.client = client
        self.number = number
        self.started = 0.0
        self.granted: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._queue = queue

    async def __aenter__(self) -> Self:
        try:
            await self.granted
        except BaseException:
            self.leave()
            raise
        return self

    def give_up(self) -> None:
        """Stop waiting; nothing happens when it runs already."""
        self.granted.cancel()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.leave()

    def leave(self) -> None:
        """End it, whether it runs, waits or has ended."""
        self._queue.leave(self)


def _stopping() -> ApiError:
    msg = "the server is being stopped; try again in a moment"
    return ApiError(503, msg, type=SERVER_FAULT, code="stopping", headers={"Retry-After": "5"})
