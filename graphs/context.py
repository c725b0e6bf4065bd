"""What a caller hands to one run that is not part of its state."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from typing import Annotated, ClassVar

from langgraph.runtime import get_runtime
from pydantic import ConfigDict, WithJsonSchema

from tool_specs.exceptions import DrawingCancelled


@dataclass(frozen=True, slots=True)
class DiffAgentContext:
    """Run-scoped things, given as `graph.invoke(..., context=DiffAgentContext(...))`."""

    __pydantic_config__: ClassVar[ConfigDict] = ConfigDict(arbitrary_types_allowed=True)

    cancel: Annotated[threading.Event | None, WithJsonSchema({"type": "null"})] = None
    """Set it to stop between two drawing steps: the run raises `DrawingCancelled` and the thread can be resumed.

    Only callers in this process have one; a server shows it as null.
    """


def cancel_event() -> threading.Event | None:
    """The event that stops the current run, if its caller gave one."""
    context = get_runtime().context
    return context.cancel if isinstance(context, DiffAgentContext) else None


def stop_if_cancelled() -> None:
    """Leave the run here when its caller asked for that.

    Raises:
        DrawingCancelled: The caller's event is set.
    """
    cancel = cancel_event()
    if cancel is not None and cancel.is_set():
        msg = "the request was stopped because its caller asked for it; run the same thread again to go on"
        raise DrawingCancelled(msg)
