from __future__ import annotations

import pytest

from diffagent_tools.chat_models.answers import CUT, half_call, read_calls
from tests.diffagent_tools.chat_models.chat_server import call


def test_a_whole_call_is_read() -> None:
    calls = read_calls([call('{"prompt": "a fox"}')], finish_reason="tool_calls")

    assert [(one["name"], one["args"], one["id"]) for one in calls.whole] == [
        ("draw_fox", {"prompt": "a fox"}, "call_1")
    ]
    assert calls.broken == []


@pytest.mark.parametrize("arguments", ["", None, "{}"])
def test_a_tool_without_arguments_may_be_given_none(arguments: str | None) -> None:
    given = {"id": "1", "function": {"name": "stop", "arguments": arguments}}

    assert read_calls([given], finish_reason="stop").whole[0]["args"] == {}


@pytest.mark.parametrize("arguments", ['{"prompt": "do', "true", '["a fox"]', '{"prompt": "a fox"}}', "a fox"])
def test_arguments_that_are_no_json_object_are_broken(arguments: str) -> None:
    calls = read_calls([call(arguments)], finish_reason="tool_calls")

    assert calls.whole == []
    assert calls.broken[0]["args"] == arguments
    assert "JSON object" in str(calls.broken[0]["error"])


def test_no_call_of_an_answer_that_was_cut_off_is_trusted() -> None:
    """The server may have closed the JSON itself."""
    calls = read_calls([call('{"prompt": "a f"}')], finish_reason=CUT)

    assert calls.whole == []
    assert "length limit" in str(calls.broken[0]["error"])


@pytest.mark.parametrize(("finish", "reason"), [(CUT, "length limit"), ("stop", "JSON object")])
def test_a_half_call_is_found_in_words(finish: str, reason: str) -> None:
    text = 'Let me draw.\n<tool_call>\n{"name": "draw_fox", "arguments": {"prompt": "a f'
    half = half_call(text, finish_reason=finish)

    assert half is not None
    words, broken = half
    assert words == "Let me draw."
    assert broken["name"] == "draw_fox"
    assert broken["id"]
    assert reason in str(broken["error"])


def test_a_half_call_may_lack_its_name() -> None:
    half = half_call('<tool_call>{"na', finish_reason=CUT)

    assert half is not None
    assert half[1]["name"] is None


def test_words_are_no_half_call() -> None:
    assert half_call("No model draws that.", finish_reason="stop") is None
