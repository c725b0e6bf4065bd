"""What a language model is told when its call fails, so that it can do better."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Literal

from langchain_core.tools import BaseTool, ToolException
from pydantic import ValidationError

from tool_specs.exceptions import BackendError, CallError, CatalogError, RequestError
from tool_specs.validation import one_line


@contextmanager
def told_to_the_model(*more: type[Exception]) -> Iterator[None]:
    """Turn errors that another call may avoid into `ToolException`; what no call can help passes through.

    Args:
        more: Kinds of error, beside a wrong call, an unusable request, an unknown model and a failed drawing.
    """
    kinds: tuple[type[Exception], ...] = (CallError, RequestError, CatalogError, BackendError, *more)
    try:
        yield
    except kinds as error:
        raise ToolException(str(error)) from error


def invalid_arguments(error: ValidationError | object) -> str:
    """What is wrong with the arguments of a tool call, in one line."""
    return f"the arguments are not valid: {one_line(error) if isinstance(error, ValidationError) else error}"


class ActionableTool(BaseTool):
    """A tool with content and artifact, whose faults come back as messages with status "error".

    Only what another call may avoid does (`told_to_the_model`, wrong arguments); anything else is raised.
    """

    response_format: Literal["content", "content_and_artifact"] = "content_and_artifact"
    handle_tool_error: bool | str | Callable[[ToolException], Any] | None = True
    handle_validation_error: bool | str | Callable[[Any], str] | None = invalid_arguments
