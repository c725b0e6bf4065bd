"""Requests to the agent that are under way: each waits its turn, can be watched, and can be stopped."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from time import monotonic
from typing import TYPE_CHECKING, Any, Final

from diffagent_tools.progress import Event
from diffagent_tools.serving.api.errors import as_api_error, too_late
from diffagent_tools.serving.api.fair_queue import FairQueue, Turn
from tool_specs.exceptions import DrawingCancelled

if TYPE_CHECKING:
    from langchain_core.runnables import Runnable

QUIET: Final[Event] = {"event": "quiet"}
"""Stands for a while in which nothing happened."""
QUIET_SECONDS: Final = 10.0
STOP_SECONDS: Final = 10.0
"""How long a drawing that was told to stop may take to end its step."""


Ended = Callable[[str, float], None]
"""Told how each request to the agent ended, and after how many seconds of work."""


class Drawing:
    """One request to the agent."""

    def __init__(self, turn: Turn) -> None:
        self.turn = turn
        self.cancel = threading.Event()
        self.task: asyncio.Task[None] | None = None
        self._state: Mapping[str, Any] = {}
        self._failure: BaseException | None = None
        self._events: asyncio.Queue[Event | None] = asyncio.Queue()

    def stop(self) -> None:
        """End it: at once when it still waits, else between two steps. One that has ended stays as it is.

        What does not end within `STOP_SECONDS`, such as a planner that does not answer, is left alone.
        """
        if self.cancel.is_set():
            return
        self.cancel.set()
        self.turn.give_up()
        if self.task is not None and not self.task.done():
            asyncio.get_running_loop().call_later(STOP_SECONDS, self.task.cancel)

    async def events(self, deadline: float) -> AsyncIterator[Event]:
        """What the agent tells, until it ends; `QUIET` from time to time while it tells nothing.

        Args:
            deadline: On the event loop's clock; a drawing that is not done by then is stopped.
        """
        clock = asyncio.get_running_loop().time
        while True:
            patience = min(max(deadline - clock(), 0.0), QUIET_SECONDS)
            try:
                event = await asyncio.wait_for(self._events.get(), patience)
            except TimeoutError:
                if clock() >= deadline:
                    self.stop()
                    return
                yield QUIET
                continue
            if event is None:
                return
            yield event

    async def ended(self, deadline: float) -> None:
        """Wait for the end, or for the deadline."""
        async for _ in self.events(deadline):
            pass

    def state(self, seconds: float) -> Mapping[str, Any]:
        """The agent's state at the end. A best attempt counts whatever came after it.

        Args:
            seconds: How long the client was ready to wait; for the error that says so.

        Raises:
            ApiError: What ended the request, or that the deadline passed, when there is no picture.
        """
        if self._state.get("best"):
            return self._state
        if self._failure is not None:
            raise as_api_error(self._failure) from self._failure
        if not self._state.get("outcome"):
            raise too_late(seconds)
        return self._state

    def take(self, mode: str, data: Any) -> None:
        """Note what the agent streams: its state, and what it tells."""
        if mode == "values":
            self._state = data
        else:
            self._events.put_nowait(data)

    def end(self, failure: BaseException | None = None) -> None:
        """Note that nothing more comes."""
        self._failure = failure
        self._events.put_nowait(None)

    @property
    def outcome(self) -> str:
        """How it ended, in a word."""
        if self._failure is not None:
            return "stopped" if isinstance(self._failure, DrawingCancelled) else "error"
        return str((self._state.get("outcome") or {}).get("status", "error"))


class Drawings:
    """Runs the agent, a few requests at a time.

    A request runs in a task of its own and keeps its place until the backend has stopped: whoever asked may leave at
    any moment, and nobody else draws at the same time for that.
    """

    def __init__(
        self,
        agent: Runnable[Any, Any],
        *,
        context_of: Callable[[threading.Event], object],
        queue: FairQueue,
        watch: Ended,
    ) -> None:
        """Draw with an agent.

        Args:
            agent: The compiled graph, without a checkpointer.
            context_of: Its run-scoped context, made of the event that stops the run.
            queue: Who is next.
            watch: Told of each end.
        """
        self._agent = agent
        self._context_of = context_of
        self._queue = queue
        self._watch = watch
        self._under_way: dict[asyncio.Task[None], Drawing] = {}

    def begin(self, inputs: Sequence[Mapping[str, object]], client: str) -> list[Drawing]:
        """Start requests, or have them wait.

        Args:
            inputs: What the agent is given, once for each request.
            client: Who asks.

        Raises:
            ApiError: Too many are waiting, or the server is being stopped.
        """
        begun = [Drawing(turn) for turn in self._queue.enter(client, len(inputs))]
        for drawing, given in zip(begun, inputs, strict=True):
            task = asyncio.create_task(self._run(drawing, given))
            drawing.task = task
            self._under_way[task] = drawing
            task.add_done_callback(self._under_way.pop)
        return begun

    def stop(self) -> None:
        """Stop all that is under way."""
        for drawing in self._under_way.values():
            drawing.stop()

    async def finish(self) -> None:
        """Stop all, and wait until the backend has stopped too."""
        self.stop()
        if self._under_way:
            await asyncio.wait(self._under_way)

    async def _run(self, drawing: Drawing, given: Mapping[str, object]) -> None:
        begun: float | None = None
        failure: BaseException | None = None
        try:
            async with drawing.turn:
                begun = monotonic()
                context = self._context_of(drawing.cancel)
                stream = self._agent.astream(given, context=context, stream_mode=["custom", "values"])
                async for mode, data in stream:
                    drawing.take(mode, data)
        except asyncio.CancelledError:
            failure = DrawingCancelled("the drawing was stopped before it had ended")
        except Exception as error:  # noqa: BLE001 - told to whoever asked
            failure = error
        drawing.end(failure)
        if begun is not None:
            self._watch(drawing.outcome, monotonic() - begun)
