"""What a chat server answered: calls that are whole, calls that cannot be trusted, and what the model thought.

A call that stops half-way must not be drawn. LangChain's stream parser completes the JSON of such a call, so that it
looks whole with text missing; vLLM's parser gives it back as plain text, which looks as if nothing was called.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, cast

from langchain_core.messages import AIMessage, AIMessageChunk, InvalidToolCall, ToolCall
from langchain_core.messages.tool import invalid_tool_call, tool_call
from langchain_core.outputs import ChatGenerationChunk, ChatResult

from diffagent_tools.chat_models.calling import CALL_MARKS, new_call_id
from tool_specs.exceptions import CallError

CUT = "length"
"""The finish reason of an answer that ran into a length limit."""
_REASONING = ("reasoning", "reasoning_content")
"""Where vLLM puts what a model thought, newest name first."""
_TAG, _ = CALL_MARKS
_NAME = re.compile(r'"name"\s*:\s*"([^"\\]{1,64})"')
_CUT_OFF = "the answer ran into the length limit before the call was whole; allow more tokens or ask for less"
_NO_END = "the stream ended before the answer did; ask again"
_NO_OBJECT = "the arguments are not a JSON object"


@dataclass(frozen=True, slots=True)
class Calls:
    """The tool calls of an answer.

    Attributes:
        whole: Those that can be made.
        broken: Those that cannot, each with what is wrong.
    """

    whole: list[ToolCall]
    broken: list[InvalidToolCall]


def read_calls(calls: Iterable[Mapping[str, Any]], *, finish_reason: str | None) -> Calls:
    """Tell whole calls from broken ones.

    Args:
        calls: In OpenAI's form.
        finish_reason: Why the answer ended; none of the calls of a `CUT` one is trusted.
    """
    whole, broken = [], []
    for call in calls:
        arguments = _arguments(call["function"].get("arguments"))
        if arguments is None or finish_reason == CUT:
            broken.append(_broken(call, finish_reason))
        else:
            whole.append(tool_call(name=call["function"]["name"], args=arguments, id=call.get("id") or new_call_id()))
    return Calls(whole, broken)


def half_call(text: str, *, finish_reason: str | None) -> tuple[str, InvalidToolCall] | None:
    """A call that the server took for words, because it is not whole: the words before it, and the call.

    Args:
        text: Of an answer without tool calls, though there were tools.
        finish_reason: Why the answer ended.
    """
    words, tag, rest = text.partition(_TAG)
    if not tag:
        return None
    name = _NAME.search(rest)
    given = {"function": {"name": name[1] if name else None, "arguments": rest.strip()}}
    return words.rstrip(), _broken(given, finish_reason)


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
        for piece in cast("AIMessageChunk", chunk.message).tool_call_chunks:
            index = piece.get("index")
            self.names[index] = self.names.get(index, "") + (piece["name"] or "")
            self.arguments[index] = self.arguments.get(index, "") + (piece["args"] or "")

    def check(self, *, may_call: bool) -> None:
        """Refuse what is not whole.

        Args:
            may_call: Whether there were tools to call. If so an answer that was cut may have been about to call one:
                servers keep the beginning of a call back.

        Raises:
            CallError: A call or the answer is not whole: what was streamed of it must be thrown away.
        """
        broken = next(iter(read_calls(self._calls(), finish_reason=self.finish_reason).broken), None)
        if broken is not None:
            problem = broken["error"]
        elif self.finish_reason is None and (may_call or self.names):
            problem = _NO_END
        elif self.finish_reason == CUT and may_call:
            problem = _CUT_OFF
        else:
            return
        name = broken["name"] if broken else next(iter(self.names.values()), None)
        msg = f"the streamed {f'call of {name!r}' if name else 'answer'} is refused: {problem}"
        raise CallError(msg)

    def _calls(self) -> Iterable[Mapping[str, Any]]:
        return (
            {"function": {"name": name, "arguments": self.arguments[index]}, "id": None}
            for index, name in self.names.items()
        )


def part(given: object, name: str) -> Any:
    """A field of an answer, which is a dict or a model of the `openai` client."""
    return given.get(name) if isinstance(given, Mapping) else getattr(given, name, None)


def taken_calls(message: Any) -> list[dict[str, Any]]:
    """The tool calls of a message, taken out of it so that the base class reads none: it fails on odd arguments."""
    calls = part(message, "tool_calls") or []
    if isinstance(message, dict):
        message["tool_calls"] = None
    else:
        message.tool_calls = None
    return [call if isinstance(call, dict) else call.model_dump(warnings=False) for call in calls]


def without_half_calls(result: ChatResult) -> ChatResult:
    """The same result, where a call that is no words does not stand among them."""
    for generation in result.generations:
        message = cast("AIMessage", generation.message)
        half = half_call(message.text, finish_reason=(generation.generation_info or {}).get("finish_reason"))
        if half and not message.tool_calls:
            message.content, broken = half
            message.invalid_tool_calls.append(broken)
    return result


def keep_reasoning(message: AIMessage, given: object) -> None:
    """Put what the model thought where LangChain looks for it."""
    thought = next((text for name in _REASONING if (text := part(given, name))), None)
    if thought:
        message.additional_kwargs["reasoning_content"] = thought


def as_chunk(message: AIMessage) -> AIMessageChunk:
    """A whole answer as the only piece of a stream: LangChain's parsers find no calls in anything but a chunk.

    When chunks are added, LangChain reads their calls again and completes what is half: the text of a broken call is
    quoted there, since a string is never taken for arguments.
    """
    if isinstance(message, AIMessageChunk):
        return message
    chunk = AIMessageChunk(**message.model_dump(exclude={"type"}), chunk_position="last")
    for number, piece in enumerate(chunk.tool_call_chunks):
        piece["index"] = number
        if number >= len(message.tool_calls):
            piece["args"] = json.dumps(piece["args"])
    return chunk


def _arguments(given: object) -> dict[str, Any] | None:
    """The arguments of a call, which some servers give as an object; None where they are none.

    A tool without arguments may get none.
    """
    if isinstance(given, Mapping):
        return dict(given)
    if not isinstance(given, str | None):
        return None
    try:
        value = json.loads(given or "{}")
    except ValueError:
        return None
    return value if isinstance(value, dict) else None


def _broken(call: Mapping[str, Any], finish_reason: str | None) -> InvalidToolCall:
    function = call["function"]
    arguments = function.get("arguments")
    return invalid_tool_call(
        name=function["name"],
        args=arguments if isinstance(arguments, str | None) else json.dumps(arguments),
        id=call.get("id") or new_call_id(),
        error=_CUT_OFF if finish_reason == CUT else _NO_OBJECT,
    )
