"""What a running request tells whoever watches it (`stream_mode="custom"`).

Every event is a plain dict with the key `event`:

- `shortlist`: `fits`, `models`, `networks`, `nearest`
- `call`: `attempt`, `model`, `tool`, `arguments`
- `step`: `attempt`, `step`, `total`, while a picture is being drawn
- `retry`: `attempt`, `reason`, when the same call is drawn again after a passing fault
- `attempt`: `attempt`, and all of the finished `Attempt`
- `outcome`: `status`, `reason`, `best` (number of the best attempt, or `None`)
"""

from __future__ import annotations

import contextvars
from collections.abc import Callable

from langgraph.config import get_stream_writer

Event = dict[str, object]
Emit = Callable[[Event], None]


def emitter() -> Emit:
    """The way to send events from the node that runs now, safe to call from any thread.

    LangGraph's writer looks up which node is speaking in the context variables of the calling thread. A backend calls
    back from threads of its own, which have none, so the node's are taken along; a copy for each event, because one
    context cannot be entered by two threads at once. Outside a graph, events go nowhere.
    """
    try:
        write = get_stream_writer()
    except RuntimeError:
        return _nowhere
    context = contextvars.copy_context()
    return lambda event: context.copy().run(write, event)


def _nowhere(event: Event) -> None:
    """Take an event that nobody listens to."""
