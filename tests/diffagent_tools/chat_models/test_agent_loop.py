from __future__ import annotations

import json

import pytest
from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, ToolMessage

from diffagent_tools.chat_models.agent_loop import next_word, split_search
from diffagent_tools.chat_models.calling import calling

TOOL = "civitai_9001_pocket_animals"
ASKED = HumanMessage("a fox")


def answered(content: object, *, status: str = "success") -> list[BaseMessage]:
    """A request, a call, and the tool's answer."""
    call = calling(TOOL, {"prompt": "a fox"}, "call_1")
    text = content if isinstance(content, str) else json.dumps(content)
    return [ASKED, call, ToolMessage(text, tool_call_id="call_1", name=TOOL, status=status)]


def test_models_are_looked_for_once() -> None:
    first = next_word([ASKED], can_search=True)
    assert first is not None
    assert [(call["name"], call["args"]) for call in first.tool_calls] == [("search_models", {"query": "a fox"})]
    found = ToolMessage("[]", tool_call_id=first.tool_calls[0]["id"] or "")
    assert next_word([ASKED, first, found], can_search=True) is None
    again = next_word([ASKED, first, found, AIMessage("Done."), HumanMessage("an owl")], can_search=True)
    assert again is not None
    assert again.tool_calls[0]["args"] == {"query": "an owl"}


def test_a_picture_that_nobody_judges_ends_the_request() -> None:
    word = next_word(answered({"image": "ab", "path": "/pictures/ab.png", "seed": 1}), can_search=True)
    assert word is not None
    assert not word.tool_calls
    assert "/pictures/ab.png" in word.text


@pytest.mark.parametrize(
    "content", [{"image": "ab", "path": "p", "verdict": "poor"}, {"models": []}, {"image": "ab", "path": 7}, "oh", [1]]
)
def test_anything_else_goes_on(content: object) -> None:
    assert next_word(answered(content), can_search=False) is None


def test_a_failure_goes_on() -> None:
    assert next_word(answered({"image": "ab", "path": "p"}, status="error"), can_search=False) is None


def test_a_failure_that_stays_ends_the_request() -> None:
    failed = answered("the GPU is gone", status="error")[1:]
    assert next_word([ASKED, *failed * 2], can_search=True) is not None  # it looks for models first
    assert next_word([ASKED, *failed * 2], can_search=False) is None
    word = next_word([ASKED, *failed * 3], can_search=False)
    assert word is not None
    assert (word.text, word.tool_calls) == ("Nothing could be drawn: the GPU is gone", [])
    judged = answered({"verdict": "fault", "reason": "the GPU is gone"}, status="error")[1:]
    assert next_word([ASKED, *judged * 3], can_search=False) is None
    assert next_word([ASKED, *failed * 3, HumanMessage("an owl")], can_search=False) is None


def test_search_is_no_tool_that_draws() -> None:
    drawing, search = ({"type": "function", "function": {"name": name}} for name in (TOOL, "search_models"))
    assert split_search([drawing, search]) == ([drawing], True)
    assert split_search([drawing]) == ([drawing], False)
    assert split_search([{"type": "web_search"}]) == ([{"type": "web_search"}], False)
