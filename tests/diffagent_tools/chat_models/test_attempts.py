from __future__ import annotations

import json

import pytest
from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, ToolMessage

from diffagent_tools.chat_models.attempts import PastAttempt, attempts_in, next_try


def tried(tool: str, number: int, content: str, status: str = "success") -> list[BaseMessage]:
    call = {"name": tool, "args": {}, "id": f"id{number}", "type": "tool_call"}
    return [AIMessage("", tool_calls=[call]), ToolMessage(content, tool_call_id=f"id{number}", status=status)]


def test_attempts_are_read_from_the_last_request_on() -> None:
    messages = [
        HumanMessage("a dog"), *tried("a", 1, json.dumps({"verdict": "poor"})),
        HumanMessage("a fox"), *tried("a", 2, json.dumps({"verdict": "poor", "reward": 0.1})),
        *tried("b", 3, "out of memory", status="error"), *tried("b", 4, json.dumps({"image": "ab"})),
        AIMessage("hm"), ToolMessage("lost", tool_call_id="unknown"),
    ]  # fmt: skip
    assert attempts_in(messages) == [PastAttempt("a", "poor"), PastAttempt("b", "fault"), PastAttempt("b", "ok")]


def test_a_verdict_replaces_the_tools_own_answer() -> None:
    messages = tried("a", 1, json.dumps({"image": "ab"}))
    messages.append(ToolMessage(json.dumps({"verdict": "poor"}), tool_call_id="id1"))
    assert attempts_in(messages) == [PastAttempt("a", "poor")]


@pytest.mark.parametrize(
    ("verdicts", "expected"),
    [
        ([], ("a", 0)),
        (["a poor"], ("a", 1)),
        (["a poor", "a poor"], ("b", 0)),
        (["a fault"], ("b", 0)),
        (["a poor", "a fault"], ("b", 0)),
        (["a rejected"], ("b", 0)),
        (["a poor", "a poor", "b poor", "b poor"], ("a", 2)),
        (["a fault", "b poor", "b poor", "b poor"], ("b", 3)),
        (["a fault", "b fault"], None),
        (["c poor"], ("a", 0)),
    ],
)
def test_what_comes_next(verdicts: list[str], expected: tuple[str, int] | None) -> None:
    attempts = [PastAttempt(*verdict.split()) for verdict in verdicts]
    assert next_try(["a", "b"], attempts) == expected


def test_no_tools() -> None:
    assert next_try([], []) is None
