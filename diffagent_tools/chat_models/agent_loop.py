"""What a planner says in an agent's loop beside calling a model: it looks for models, and stops at the picture."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, ToolMessage

from diffagent_tools.chat_models.calling import calling

SEARCH = "search_models"
"""The tool that finds models; `DiffAgentMiddleware` turns what it finds into tools."""

MOST_FAULTS = 3
"""Tool calls in a row that may fail."""


def split_search(tools: Sequence[dict[str, Any]]) -> tuple[list[dict[str, Any]], bool]:
    """The tools that may draw, and whether models can be searched for."""
    drawing = [tool for tool in tools if (tool.get("function") or {}).get("name") != SEARCH]
    return drawing, len(drawing) < len(tools)


def next_word(messages: Sequence[BaseMessage], *, can_search: bool, choice: str | None = None) -> AIMessage | None:
    """What to say instead of calling a model; None where a model is to be called, or declined.

    Agents that judge pictures (`graphs.create_diffagent`) write a `verdict` into the tool message: their loop goes on.
    In any other loop a picture is what was asked for.

    Args:
        messages: The conversation; the last human message is the request.
        can_search: Whether `search_models` is on offer. It is called once for each request, and before any other tool:
            an agent with an answer in a form demands a call each time, and the form is its last.
        choice: As `chosen_tool` reads it. A named tool leaves nothing else to say.
    """
    start = max((n for n, message in enumerate(messages) if isinstance(message, HumanMessage)), default=None)
    if choice == SEARCH and can_search and messages:
        return _search(messages[-1 if start is None else start])
    if choice not in (None, "any"):
        return None
    if drawn := _drawn(messages[-1] if messages else None):
        return AIMessage(f"The picture is drawn: {drawn}")
    if start is None:
        return None
    since = messages[start + 1 :]
    if fault := _lasting_fault(since):
        return AIMessage(f"Nothing could be drawn: {fault}")
    if not can_search:
        return None
    searched = any(call["name"] == SEARCH for one in since if isinstance(one, AIMessage) for call in one.tool_calls)
    return None if searched else _search(messages[start])


def _search(request: BaseMessage) -> AIMessage:
    return calling(SEARCH, {"query": str(request.text)})


def _lasting_fault(since: Sequence[BaseMessage]) -> str | None:
    """What the last tool said, where the last `MOST_FAULTS` of them failed: another call would hardly do better.

    Agents that judge end by themselves.
    """
    told = [message for message in since if isinstance(message, ToolMessage)][-MOST_FAULTS:]
    if len(told) < MOST_FAULTS or any(one.status != "error" or "verdict" in _told(one) for one in told):
        return None
    return str(told[-1].text)


def _drawn(last: BaseMessage | None) -> str | None:
    """Where the picture is that a tool has just drawn, if nobody has judged it."""
    if not isinstance(last, ToolMessage) or last.status == "error":
        return None
    told = _told(last)
    if "verdict" in told or "image" not in told:
        return None
    path = told.get("path")
    return path if isinstance(path, str) else None


def _told(message: ToolMessage) -> dict[str, Any]:
    """What a tool answered as a JSON object; nothing where it was none."""
    try:
        told = json.loads(str(message.text))
    except ValueError:
        return {}
    return told if isinstance(told, dict) else {}
