"""How work inside a LangGraph graph tells whoever watches it (`stream_mode="custom"`) what it is doing."""

from __future__ import annotations

import contextvars
from collections.abc import Callable

Event = dict[str, object]
Emit = Callable[[Event], None]


def emitter() -> Emit:
    """The way to send events from the node or tool that runs now, safe to call from any thread.

    LangGraph's writer looks up which node is speaking in the context variables of the calling thread. A backend calls
    back from threads of its own, which have none, so the node's are taken along; a copy for each event, because one
    context cannot be entered by two threads at once. Outside a graph, events go nowhere.
    """
    from langgraph.config import get_stream_writer

    try:
        write = get_stream_writer()
    except (RuntimeError, KeyError):  # no runnable at all, or one that no graph runs
        return _nowhere
    context = contextvars.copy_context()
    return lambda event: context.copy().run(write, event)


def _nowhere(event: Event) -> None:
    """Take an event that nobody listens to."""
