"""One request on one thread: started, gone on with, or only looked at again."""

from __future__ import annotations

import os
import re
import secrets
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Generic, cast

import click
from langchain_core.runnables import RunnableConfig
from langgraph.graph.state import CompiledStateGraph
from langgraph.types import Command, StateSnapshot
from langgraph.typing import StateT

from graphs.cli.saving import slug
from graphs.context import DiffAgentContext
from graphs.events import Event
from graphs.nodes.approve import Decision, Question
from graphs.state import DiffAgentInput, Options
from tool_specs.command_line import INTERRUPTED
from tool_specs.exceptions import RequestError

_THREAD = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,79}")
DRAW_GRAPH = "diffagent"
_SHOW_CURSOR = "\x1b[?25h"


class RequestThread(Generic[StateT]):
    """Runs the agent, or a bigger graph made of it, for a person who watches, may be asked, and may interrupt."""

    def __init__(
        self,
        graph: CompiledStateGraph[StateT, DiffAgentContext, DiffAgentInput, StateT],
        thread: str,
        *,
        watch: Callable[[Event], None],
        ask: Callable[[Question], Decision],
    ) -> None:
        """Report events to `watch`, put questions of approval to `ask`."""
        self._graph = graph
        self._thread = thread
        # A name may be used once for each kind of graph: their states have nothing in common.
        kept_as = thread if graph.name == DRAW_GRAPH else f"{graph.name}/{thread}"
        self._config: RunnableConfig = {"configurable": {"thread_id": kept_as}}
        self._watch = watch
        self._ask = ask

    def run(self, request: str | None, options: Options) -> StateT:
        """Bring the thread's request to its end.

        Args:
            request: What to draw; `None` goes on with what the thread was at.
            options: What the person fixed; when going on, the same as at the start or nothing.

        Raises:
            RequestError: There is nothing to go on with, or the thread is in the middle of something else.
            DrawingCancelled: Interrupted between two steps.
        """
        snapshot = self._graph.get_state(self._config)
        given: Any = _start(self._thread, snapshot, request, options)
        if given is None and not snapshot.next:
            return self.state()
        with _stops_on_interrupt() as cancel:
            context = DiffAgentContext(cancel=cancel)
            while True:
                for event in self._graph.stream(
                    given, self._config, context=context, stream_mode="custom", durability="sync"
                ):
                    self._watch(cast("Event", event))
                questions = self._graph.get_state(self._config).interrupts
                if not questions:
                    return self.state()
                with _default_interrupt():
                    given = Command(resume=self._ask(questions[0].value))

    def state(self) -> StateT:
        """What the thread holds now."""
        return cast("StateT", self._graph.get_state(self._config).values)


def thread_name(request: str | None, given: str | None) -> str:
    """The thread's name as given, or a new one made of the request.

    Raises:
        RequestError: There is neither, or the name has odd characters.
    """
    if given is not None:
        if not _THREAD.fullmatch(given):
            msg = f"{given[:80]!r} is no thread name: use up to 80 letters, digits, dots, dashes and underscores"
            raise RequestError(msg)
        return given
    if request is None:
        msg = 'say what to draw, for example: diffagent draw "a fox on a blue background"'
        raise RequestError(msg)
    return f"{slug(request, 32) or 'request'}-{secrets.token_hex(3)}"


def going_on(command: str, chosen: str, thread: str) -> str:
    """The command line that goes on with a thread.

    Args:
        command: Name of the command.
        chosen: With whom and with which models; see `Workshop.chosen`.
        thread: Name of the thread.
    """
    return " ".join(filter(None, ["diffagent", command, chosen, "--thread", thread]))


def _start(thread: str, snapshot: StateSnapshot, request: str | None, options: Options) -> DiffAgentInput | None:
    """What the graph is started with; `None` to go on where the thread stopped, or to look at its end again."""
    before = snapshot.values
    if request is None and not before:
        msg = f"there is no thread {thread!r} to go on with: say what to draw as well"
        raise RequestError(msg)
    same_request = request is None or request == before.get("request")
    same_options = not options or options == before.get("options")
    if before and same_request and same_options:
        return None
    if snapshot.next and before.get("request"):
        what = "a request" if not same_request else "options"
        msg = (
            f"thread {thread!r} is in the middle of {before['request']!r}: go on with `--thread {thread}` alone, "
            f"or leave it out to start anew; {what} cannot change half-way"
        )
        raise RequestError(msg)
    return {"request": request or before["request"], "options": options}


@contextmanager
def _stops_on_interrupt() -> Iterator[threading.Event]:
    """Ctrl-C sets the event, so that the drawing stops between two steps; a second one leaves at once.

    Leaving at once does not wait for the drawing thread. Nothing is lost: each finished step of the graph is saved.
    """
    cancel = threading.Event()

    def interrupted(*_: object) -> None:
        if cancel.is_set():
            sys.stderr.write(_SHOW_CURSOR if sys.stderr.isatty() else "")
            sys.stderr.flush()
            os._exit(INTERRUPTED)
        cancel.set()
        click.echo("\nstopping after this step (Ctrl-C again: at once)", err=True)

    if threading.current_thread() is not threading.main_thread():
        yield cancel
        return
    before = signal.signal(signal.SIGINT, interrupted)
    try:
        yield cancel
    finally:
        signal.signal(signal.SIGINT, before)


@contextmanager
def _default_interrupt() -> Iterator[None]:
    """Ctrl-C breaks off a question at once."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
