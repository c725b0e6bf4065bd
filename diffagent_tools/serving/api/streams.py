"""Long answers: sent piece by piece as server-sent events, and given up when the client leaves."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Coroutine
from typing import Final, TypeVar

from fastapi import Request
from starlette.responses import StreamingResponse
from starlette.types import Receive, Scope, Send

from diffagent_tools.serving.api.errors import CLIENT_LEFT, ApiError, as_api_error

Answer = TypeVar("Answer")

DONE: Final = "data: [DONE]\n\n"
KEPT_ALIVE: Final = ": still at it\n\n"
"""A comment: clients skip it, and connections that would be closed for silence stay open."""
_HEADERS: Final = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}


def event(data: dict[str, object], name: str | None = None) -> str:
    """One server-sent event."""
    head = f"event: {name}\n" if name else ""
    return f"{head}data: {json.dumps(data, ensure_ascii=False)}\n\n"


class EventStream(StreamingResponse):
    """An answer as server-sent events. An error on the way is its last event, in OpenAI's shape."""

    def __init__(self, pieces: AsyncIterator[str], *, closing: Callable[[], None] = lambda: None) -> None:
        """Send events.

        Args:
            pieces: The events.
            closing: Called at the end, also when the client has left before it.
        """
        super().__init__(_with_errors(pieces), media_type="text/event-stream", headers=_HEADERS)
        self._closing = closing

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send; see `StreamingResponse`."""
        try:
            await super().__call__(scope, receive, send)
        finally:
            self._closing()


async def while_connected(request: Request, work: Coroutine[object, object, Answer]) -> Answer:
    """Work for a client, and give it up when the client leaves.

    Args:
        request: Whose body has been read.
        work: What to do; it is cancelled.

    Raises:
        ApiError: The client has left; nobody will read it.
    """
    working, leaving = asyncio.ensure_future(work), asyncio.ensure_future(_left(request))
    try:
        await asyncio.wait({working, leaving}, return_when=asyncio.FIRST_COMPLETED)
        if working.done():
            return working.result()
        msg = "the client closed the connection"
        raise ApiError(CLIENT_LEFT, msg, code="client_left")
    finally:
        working.cancel()
        leaving.cancel()
        await asyncio.gather(working, leaving, return_exceptions=True)


async def _left(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass


async def _with_errors(pieces: AsyncIterator[str]) -> AsyncIterator[str]:
    try:
        async for piece in pieces:
            yield piece
    except Exception as error:  # noqa: BLE001 - the status is sent already; the client reads the error here
        yield event(as_api_error(error).body, "error")
