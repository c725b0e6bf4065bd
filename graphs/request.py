"""What a person may send: the request's text and the options that go with it, checked before any work is done."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from uuid import uuid4

from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, RemoveMessage, ToolMessage
from pydantic import TypeAdapter, ValidationError
from typing_extensions import TypedDict

from graphs.state import DiffAgentState, Options
from tool_specs.exceptions import RequestError
from tool_specs.prompts import clean_text
from tool_specs.validation import one_line

MAX_CHARACTERS = 2_000
DEFAULT_ATTEMPTS = 3
DEFAULT_SECONDS = 600.0

_OPTIONS: TypeAdapter[Options] = TypeAdapter(Options)


def checked_request(text: str) -> str:
    """The request with outer white space and control characters gone.

    Raises:
        RequestError: It is empty or longer than 2,000 characters.
    """
    if len(text) > MAX_CHARACTERS:
        msg = f"the request has {len(text):,} characters; at most {MAX_CHARACTERS:,} are read: say it shorter"
        raise RequestError(msg)
    request = " ".join(clean_text(text).split())
    if not request:
        msg = f'the request {text[:40]!r} is empty: say what to draw, for example "a fox on a blue background"'
        raise RequestError(msg)
    return request


def checked_options(options: Options) -> Options:
    """Options whose names, types and ranges are right.

    Raises:
        RequestError: One line that names the option, its value and what it may be.
    """
    try:
        return _OPTIONS.validate_python(options)
    except ValidationError as error:
        msg = f"option {one_line(error)}"
        raise RequestError(msg) from error


def request_of(state: DiffAgentState, checked: Callable[[str], str] = checked_request) -> str:
    """The request that starts a run: an unanswered last message of a person, else the key `request`; `checked`.

    A message that an earlier run has read and left unanswered, because it broke off, gives way to another `request`.
    In a bigger graph there may be neither: a supervisor that hands over has the last word. Then it is what a person
    said last.

    Raises:
        RequestError: There is none, or it cannot be used.
    """
    last = _unanswered(state)
    text = last.text if last is not None else state.get("request") or _said_last(state.get("messages", []))
    if not isinstance(text, str):
        msg = f"the request is {type(text).__name__}, not text: say in words what to draw"
        raise RequestError(msg)
    return checked(text)


class Opening(TypedDict):
    """What a run writes into the state before it plans."""

    messages: list[BaseMessage]
    read: str


def opening(state: DiffAgentState, request: str) -> Opening:
    """What makes the conversation ready for planning.

    A request that was given up in the middle leaves a tool call without an answer, which most chat models refuse to
    read: it is taken back. The request is added unless it is the last message already.
    """
    messages = state.get("messages", [])
    answered = {message.tool_call_id for message in messages if isinstance(message, ToolMessage)}
    left_open = [message for message in messages if isinstance(message, AIMessage) and message.id
                 and any(call["id"] not in answered for call in message.tool_calls)]  # fmt: skip
    removed: list[BaseMessage] = [RemoveMessage(id=str(message.id)) for message in left_open]
    if (last := _unanswered(state)) is not None:
        return {"messages": removed, "read": last.id or ""}
    said = HumanMessage(request, id=str(uuid4()))
    return {"messages": [*removed, said], "read": str(said.id)}


def _said_last(messages: Sequence[BaseMessage]) -> str:
    """The last words of a person; empty when there are none."""
    return next((message.text for message in reversed(messages) if isinstance(message, HumanMessage)), "")


def _unanswered(state: DiffAgentState) -> HumanMessage | None:
    """The last message when a person wrote it, unless it was read before and another request has come since."""
    messages = state.get("messages", [])
    last = messages[-1] if messages else None
    if not isinstance(last, HumanMessage):
        return None
    known = last.id is not None and last.id == state.get("read")
    return None if known and "request" in state and not _is_said(state["request"], last.text) else last


def _is_said(request: object, text: str) -> bool:
    return isinstance(request, str) and clean_text(request).split() == clean_text(text).split()
