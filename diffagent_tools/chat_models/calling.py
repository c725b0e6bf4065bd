"""The message that calls a tool."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final
from uuid import uuid4

from langchain_core.messages import AIMessage

CALL_MARKS: Final = ("<tool_call>", "</tool_call>")
"""What a call stands between where a model writes it."""


def calling(tool: str, arguments: Mapping[str, object], call_id: str | None = None) -> AIMessage:
    """A message that calls a tool.

    Args:
        tool: Its name.
        arguments: What it is called with.
        call_id: Of the call; a new one by default.
    """
    call = {"name": tool, "args": dict(arguments), "id": call_id or new_call_id(), "type": "tool_call"}
    return AIMessage("", tool_calls=[call])


def new_call_id() -> str:
    """An id that no other call has."""
    return f"call_{uuid4().hex}"
