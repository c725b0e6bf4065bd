"""What a caller hands to one run that is not part of its state."""

from __future__ import annotations

import threading
from typing import Annotated

from langgraph.runtime import get_runtime
from pydantic import (
    ConfigDict,
    FiniteFloat,
    ModelWrapValidatorHandler,
    ValidationError,
    WithJsonSchema,
    model_validator,
)
from pydantic.dataclasses import dataclass

from graphs.state import Attempts, Seconds
from tool_specs.exceptions import DrawingCancelled, RequestError
from tool_specs.validation import one_line


@dataclass(frozen=True, slots=True, config=ConfigDict(arbitrary_types_allowed=True, extra="forbid"))
class DiffAgentContext:
    """Settings of one run, given as `graph.invoke(..., context=DiffAgentContext(...))` or as a dict of the same.

    LangGraph does not save them with the thread: who resumes a run gives them again. On a LangGraph server they are
    what makes one assistant different from another. What a person fixes for one request is in `Options`, which count
    more. A bigger graph passes its own context on; let that be a subclass to set these in it.

    Raises:
        RequestError: A setting is out of range or of the wrong type.
    """

    cancel: Annotated[threading.Event | None, WithJsonSchema({"type": "null"})] = None
    """Set it to stop between two drawing steps: the run raises `DrawingCancelled` and the thread can be resumed.

    Only callers in this process have one; a server shows it as null.
    """
    threshold: FiniteFloat | None = None
    """Reward from which on a picture is accepted, instead of the graph's own."""
    max_attempts: Attempts | None = None
    """Most attempts of a request whose options do not say."""
    max_seconds: Seconds | None = None
    """Most seconds of drawing and judging of a request whose options do not say."""
    approve: bool = False
    """Ask a person before each picture."""

    @model_validator(mode="wrap")
    @classmethod
    def _checked(cls, given: object, handler: ModelWrapValidatorHandler[DiffAgentContext]) -> DiffAgentContext:
        try:
            return handler(given)
        except ValidationError as error:
            msg = f"context {one_line(error)}"
            raise RequestError(msg) from error


def run_context() -> DiffAgentContext:
    """What the caller of the current run gave; nothing in a bigger graph whose context is of another kind."""
    context = get_runtime().context
    return context if isinstance(context, DiffAgentContext) else DiffAgentContext()


def stop_if_cancelled() -> None:
    """Leave the run here when its caller asked for that.

    Raises:
        DrawingCancelled: The caller's event is set.
    """
    cancel = run_context().cancel
    if cancel is not None and cancel.is_set():
        msg = "the request was stopped because its caller asked for it; run the same thread again to go on"
        raise DrawingCancelled(msg)
