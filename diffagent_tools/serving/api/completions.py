"""Messages between LangChain's form and OpenAI's chat completions."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from typing import Any, Final
from uuid import uuid4

from langchain_core.messages import AIMessage, AIMessageChunk, BaseMessage, convert_to_messages
from langchain_core.messages.ai import UsageMetadata
from pydantic import JsonValue

from diffagent_tools.serving.api.errors import ApiError
from diffagent_tools.serving.api.streams import event
from tool_specs.prompts import whole_characters

CALLED: Final = "tool_calls"
ROLES: Final = frozenset({"system", "developer", "user", "assistant", "tool"})


def read_messages(given: Sequence[Mapping[str, JsonValue]]) -> list[BaseMessage]:
    """A client's messages.

    Raises:
        ApiError: One is not in OpenAI's form.
    """
    for number, message in enumerate(given):
        role = message.get("role")
        if not isinstance(role, str) or role not in ROLES:
            msg = f"messages[{number}]: the role must be one of {', '.join(sorted(ROLES))}"
            raise ApiError(400, msg, param="messages", code="invalid_messages")
    try:
        return convert_to_messages([{"content": "", **_filled(message)} for message in _cleaned(given)])
    except (ValueError, TypeError, KeyError, AttributeError, NotImplementedError) as error:
        msg = "the messages are not in OpenAI's form: each has a role and a content, a tool's answer a tool_call_id"
        raise ApiError(400, msg, param="messages", code="invalid_messages") from error


class Completion:
    """One chat completion, as a whole or in pieces."""

    def __init__(self, model: str) -> None:
        """Begin one.

        Args:
            model: What the client asked.
        """
        self._head = {"id": f"chatcmpl-{uuid4().hex}", "created": int(time.time()), "model": model}

    def whole(self, answer: AIMessage) -> dict[str, object]:
        """The answer in one piece."""
        calls = tool_calls(answer)
        message: dict[str, object] = {"role": "assistant", "content": answer.text or (None if calls else "")}
        if calls:
            message[CALLED] = calls
        choice = {"index": 0, "message": message, "finish_reason": finish_reason(answer, called=bool(calls)),
                  "logprobs": None}  # fmt: skip
        body = {**self._head, "object": "chat.completion", "choices": [choice]}
        return {**body, "usage": usage(answer.usage_metadata)} if answer.usage_metadata else body

    def piece(self, delta: Mapping[str, object], finish: str | None = None) -> str:
        """One event of a stream."""
        choice = {"index": 0, "delta": dict(delta), "finish_reason": finish, "logprobs": None}
        return event({**self._head, "object": "chat.completion.chunk", "choices": [choice]})

    def used(self, count: UsageMetadata) -> str:
        """The event that counts the tokens of a stream."""
        return event({**self._head, "object": "chat.completion.chunk", "choices": [], "usage": usage(count)})


def tool_calls(answer: AIMessage) -> list[dict[str, object]]:
    """The tool calls of a whole answer; those with broken arguments as the planner wrote them."""
    found = [(call["id"], call["name"], json.dumps(call["args"], ensure_ascii=False)) for call in answer.tool_calls]
    found += [(call["id"], call["name"] or "", call["args"] or "") for call in answer.invalid_tool_calls]
    return [
        {"id": call_id or f"call_{uuid4().hex}", "type": "function", "function": {"name": name, "arguments": arguments}}
        for call_id, name, arguments in found
    ]


def delta_of(chunk: BaseMessage) -> dict[str, object]:
    """What a piece of an answer adds; a model that does not stream gives its whole answer as the only piece."""
    delta: dict[str, object] = {"content": chunk.text} if chunk.text else {}
    if isinstance(chunk, AIMessageChunk) and chunk.tool_call_chunks and not _is_whole(chunk):
        delta[CALLED] = [_call_piece(piece) for piece in chunk.tool_call_chunks]
    elif isinstance(chunk, AIMessage) and (calls := tool_calls(chunk)):
        delta[CALLED] = [{"index": index, **call} for index, call in enumerate(calls)]
    return delta


def _is_whole(chunk: AIMessageChunk) -> bool:
    """Whether a piece is a whole answer: its calls are read already, and broken ones stand quoted in its pieces."""
    return chunk.chunk_position == "last" and all(piece["id"] for piece in chunk.tool_call_chunks)


def finish_reason(answer: BaseMessage, *, called: bool) -> str:
    """Why an answer ended, in OpenAI's words."""
    return str(answer.response_metadata.get("finish_reason") or (CALLED if called else "stop"))


def usage(count: UsageMetadata) -> dict[str, int]:
    """Tokens, as OpenAI counts them."""
    return {
        "prompt_tokens": count["input_tokens"],
        "completion_tokens": count["output_tokens"],
        "total_tokens": count["total_tokens"],
    }


def _cleaned(given: Sequence[Mapping[str, JsonValue]]) -> list[dict[str, JsonValue]]:
    """The messages without halves of characters in any of their texts."""
    cleaned: list[dict[str, JsonValue]] = json.loads(whole_characters(json.dumps(given, ensure_ascii=False)))
    return cleaned


def _filled(message: Mapping[str, JsonValue]) -> dict[str, JsonValue]:
    """A message without its nulls: an assistant that only calls tools has no content."""
    return {key: value for key, value in message.items() if value is not None}


def _call_piece(piece: Mapping[str, Any]) -> dict[str, object]:
    function = {key: value for key, value in (("name", piece["name"]), ("arguments", piece["args"])) if value}
    head = {"id": piece["id"], "type": "function"} if piece["id"] else {}
    return {"index": piece["index"] or 0, **head, "function": function}
