from __future__ import annotations

import pytest

from diffagent_tools.chat_models.answers import CUT, read_answer
from tests.diffagent_tools.chat_models.chat_server import call


def test_a_whole_call_is_read() -> None:
    answer = read_answer("", [call('{"prompt": "a fox"}')], finish_reason="tool_calls")

    assert [(one["name"], one["args"], one["id"]) for one in answer.calls] == [
        ("draw_fox", {"prompt": "a fox"}, "call_1")
    ]
    assert answer.broken == []


@pytest.mark.parametrize("arguments", ["", None, "{}"])
def test_a_tool_without_arguments_may_be_given_none(arguments: str | None) -> None:
    given = {"id": "1", "function": {"name": "stop", "arguments": arguments}}

    assert read_answer("", [given], finish_reason="stop").calls[0]["args"] == {}


@pytest.mark.parametrize("arguments", ['{"prompt": "do', "true", '["a fox"]', '{"prompt": "a fox"}}', "a fox"])
def test_arguments_that_are_no_json_object_are_broken(arguments: str) -> None:
    answer = read_answer("", [call(arguments)], finish_reason="tool_calls")

    assert answer.calls == []
    assert answer.broken[0]["args"] == arguments
    assert "JSON object" in str(answer.broken[0]["error"])


def test_no_call_of_an_answer_that_was_cut_off_is_trusted() -> None:
    """The server may have closed the JSON itself."""
    answer = read_answer("", [call('{"prompt": "a f"}')], finish_reason=CUT)

    assert answer.calls == []
    assert "length limit" in str(answer.broken[0]["error"])


@pytest.mark.parametrize(("finish", "reason"), [(CUT, "length limit"), ("stop", "JSON object")])
def test_a_half_call_that_the_server_took_for_text_is_a_broken_call(finish: str, reason: str) -> None:
    text = 'Let me draw.\n<tool_call>\n{"name": "draw_fox", "arguments": {"prompt": "a f'
    answer = read_answer(text, [], finish_reason=finish)

    assert answer.text == "Let me draw."
    assert answer.calls == []
    assert answer.broken[0]["name"] == "draw_fox"
    assert answer.broken[0]["id"]
    assert reason in str(answer.broken[0]["error"])


def test_a_half_call_may_lack_its_name() -> None:
    assert read_answer('<tool_call>{"na', [], finish_reason=CUT).broken[0]["name"] is None


def test_words_stay_words() -> None:
    answer = read_answer("No model draws that.", [], finish_reason="stop")

    assert (answer.text, answer.calls, answer.broken) == ("No model draws that.", [], [])
