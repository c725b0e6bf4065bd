"""What was tried already in a conversation, and what to try next."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass

from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, ToolMessage

TRIES_IN_A_ROW = 2
"""Poor pictures by one model before the next one gets its turn."""


@dataclass(frozen=True, slots=True)
class PastAttempt:
    """A tool call that was answered.

    Attributes:
        tool: The tool's name.
        verdict: "ok", "poor", or anything else for a failure.
    """

    tool: str
    verdict: str


def attempts_in(messages: Sequence[BaseMessage]) -> list[PastAttempt]:
    """The attempts since the last human message, in order.

    A tool message is JSON with a `verdict` once its picture was judged. Without one, an error is a fault, and a picture
    that nobody judged is no reason to try again differently.
    """
    start = max((n for n, message in enumerate(messages) if isinstance(message, HumanMessage)), default=-1)
    names: dict[str, str] = {}
    attempts: dict[str, PastAttempt] = {}
    for message in messages[start + 1 :]:
        if isinstance(message, AIMessage):
            names |= {call["id"] or "": call["name"] for call in message.tool_calls}
        elif isinstance(message, ToolMessage) and message.tool_call_id in names:
            attempts[message.tool_call_id] = PastAttempt(names[message.tool_call_id], _verdict(message))
    return list(attempts.values())


def next_try(tools: Sequence[str], attempts: Sequence[PastAttempt]) -> tuple[str, int] | None:
    """Which tool to call next, and how often it was called before.

    A tool whose last call failed is not called again. Each of the others gets `TRIES_IN_A_ROW` calls, the best first;
    when all had them they take turns, the one called least first.

    Args:
        tools: Names, best first.
        attempts: What was tried.

    Returns:
        The tool and its number of earlier calls; None when all have failed.
    """
    calls = {tool: [attempt for attempt in attempts if attempt.tool == tool] for tool in tools}
    sound = [tool for tool in tools if all(attempt.verdict in ("ok", "poor") for attempt in calls[tool])]
    if not sound:
        return None
    fresh = [tool for tool in sound if len(calls[tool]) < TRIES_IN_A_ROW]
    tool = fresh[0] if fresh else min(sound, key=lambda name: len(calls[name]))
    return tool, len(calls[tool])


def _verdict(message: ToolMessage) -> str:
    try:
        told = json.loads(str(message.text))
    except ValueError:
        told = None
    if isinstance(told, dict) and "verdict" in told:
        return str(told["verdict"])
    return "fault" if message.status == "error" else "ok"
