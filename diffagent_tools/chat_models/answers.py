"""The tool calls in a chat server's answer: those that are whole, and those that cannot be trusted.

A call that stops half-way must not be drawn. LangChain's stream parser completes the JSON of such a call, so that it
looks whole with text missing; vLLM's parser gives it back as plain text, which looks as if nothing was called.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, cast
from uuid import uuid4

from langchain_core.messages import AIMessageChunk, InvalidToolCall, ToolCall
from langchain_core.messages.tool import invalid_tool_call, tool_call
from langchain_core.outputs import ChatGenerationChunk

from tool_specs.exceptions import CallError

CUT = "length"
"""The finish reason of an answer that ran into a length limit."""
_TAG = "<tool_call>"
_NAME = re.compile(r'"name"\s*:\s*"([^"\\]{1,64})"')
_CUT_OFF = "the answer ran into the length limit before the call was whole; allow more tokens or ask for less"
_NO_OBJECT = "the arguments are not a JSON object"


@dataclass(frozen=True, slots=True)
class Answer:
    """What a server said.

    Attributes:
        text: In words.
        calls: Tool calls that are whole.
        broken: Those that are not, each with what is wrong.
    """

    text: str
    calls: list[ToolCall]
    broken: list[InvalidToolCall]


def read_answer(text: str, calls: Sequence[Mapping[str, Any]], *, finish_reason: str | None) -> Answer:
    """Tell whole calls from broken ones.

    Args:
        text: Content of the message.
        calls: Its tool calls in OpenAI's form.
        finish_reason: Why the answer ended; none of the calls of a `CUT` one is trusted.
    """
    if not calls and _TAG in text:
        text, _, rest = text.partition(_TAG)
        name = _NAME.search(rest)
        given = {"function": {"name": name[1] if name else None, "arguments": rest.strip()}}
        return Answer(text.rstrip(), [], [_broken(given, _CUT_OFF if finish_reason == CUT else _NO_OBJECT)])
    whole, broken = [], []
    for call in calls:
        arguments = _arguments(call["function"].get("arguments"))
        if arguments is None or finish_reason == CUT:
            broken.append(_broken(call, _CUT_OFF if finish_reason == CUT else _NO_OBJECT))
        else:
            whole.append(tool_call(name=call["function"]["name"], args=arguments, id=call.get("id") or _new_id()))
    return Answer(text, whole, broken)


@dataclass(slots=True)
class StreamedCalls:
    """The tool calls of a stream, put together to see at its end whether they are whole."""

    names: dict[object, str] = field(default_factory=dict)
    arguments: dict[object, str] = field(default_factory=dict)
    finish_reason: str | None = None

    def add(self, chunk: ChatGenerationChunk) -> None:
        """Take in one chunk of the stream."""
        info = chunk.generation_info or {}
        self.finish_reason = info.get("finish_reason") or self.finish_reason
        for part in cast("AIMessageChunk", chunk.message).tool_call_chunks:
            index = part.get("index")
            self.names[index] = self.names.get(index, "") + (part["name"] or "")
            self.arguments[index] = self.arguments.get(index, "") + (part["args"] or "")

    def check(self) -> None:
        """Refuse calls that are not whole.

        Raises:
            CallError: One is not: what was streamed of it must be thrown away.
        """
        answer = read_answer("", list(self._calls()), finish_reason=self.finish_reason)
        if answer.broken:
            broken = answer.broken[0]
            msg = f"the streamed call of {broken['name']!r} is refused: {broken['error']}"
            raise CallError(msg)

    def _calls(self) -> Iterable[Mapping[str, Any]]:
        return (
            {"function": {"name": name, "arguments": self.arguments[index]}, "id": None}
            for index, name in self.names.items()
        )


def _arguments(text: str | None) -> dict[str, Any] | None:
    """The arguments of a call; None where the text is no JSON object. A tool without arguments may get none."""
    try:
        value = json.loads(text or "{}")
    except ValueError:
        return None
    return value if isinstance(value, dict) else None


def _broken(call: Mapping[str, Any], error: str) -> InvalidToolCall:
    function = call["function"]
    return invalid_tool_call(
        name=function["name"], args=function.get("arguments"), id=call.get("id") or _new_id(), error=error
    )


def _new_id() -> str:
    return f"call_{uuid4().hex}"
