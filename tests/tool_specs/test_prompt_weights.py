from __future__ import annotations

import itertools
import math
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tool_specs.prompt_weights import MAX_WEIGHT, weighted_prompt

SQUARE = 1 / 1.1


@pytest.mark.parametrize(
    ("text", "pieces"),
    [
        ("a fox", [("a fox", 1)]),
        ("a (fox)", [("a ", 1), ("fox", 1.1)]),
        ("a [fox] b", [("a ", 1), ("fox", SQUARE), (" b", 1)]),
        ("(fox:1.3), lake", [("fox", 1.3), (", lake", 1)]),
        ("(fox: .5 )(lake:-2.)", [("fox", 0.5), ("lake", -2)]),
        ("((fox))", [("fox", 1.1**2)]),
        ("(a (b:2) c:1.5)", [("a ", 1.5), ("b", 3), (" c", 1.5)]),
        ("(red (hat:0.5)) on [[(x)]]", [("red ", 1.1), ("hat", 0.55), (" on ", 1), ("x", 1.1 * SQUARE**2)]),
        ("(a [b) c]", [("a ", 1.1), ("b", 1), (" c", SQUARE)]),
        (r"fate \(series\), \[x\] \\", [(r"fate (series), [x] " + "\\", 1)]),
        (r"(fox\):1.2)", [("fox)", 1.2)]),
        ("time: 12:30", [("time: 12:30", 1)]),
        ("a :1.2) b) c]", [("a :1.2) b) c]", 1)]),
        ("(fox", [("fox", 1.1)]),
        ("a ((b:1.2) c", [("a ", 1), ("b", 1.32), (" c", 1.1)]),
        ("(a:1.2.3)(b:.)", [("a:1.2.3b:.", 1.1)]),
        ("(a:1e3)", [("a:1e3", 1.1)]),
        ("(a:99999) (b:-99999)", [("a", MAX_WEIGHT), (" ", 1), ("b", -MAX_WEIGHT)]),
        (f"(a:{'9' * 999})", [("a", MAX_WEIGHT)]),
        ("(fox:1.0)", [("fox", 1)]),
        ("back\\slash", [("back\\slash", 1)]),
        ("", []),
        ("()", []),
    ],
)
def test_weights(text: str, pieces: list[tuple[str, float]]) -> None:
    prompt = weighted_prompt(text)
    assert len(prompt.sections) == 1
    assert [piece.text for piece in prompt.sections[0]] == [text for text, _ in pieces]
    assert [piece.weight for piece in prompt.sections[0]] == pytest.approx([weight for _, weight in pieces])
    assert prompt.is_plain == all(weight == 1 for _, weight in pieces)
    assert prompt.text == "".join(text for text, _ in pieces)


@pytest.mark.parametrize(
    ("text", "sections", "words"),
    [
        ("a fox BREAK a lake", ["a fox ", " a lake"], "a fox, a lake"),
        ("(a fox, BREAK a lake:1.2)", ["a fox, ", " a lake"], "a fox, a lake"),
        ("a\nBREAK\nBREAK\nb", ["a\n", "\n", "\nb"], "a, b"),
        ("a fox BREAK", ["a fox ", ""], "a fox"),
        ("UNBREAKABLE", ["UNBREAKABLE"], "UNBREAKABLE"),
        ("a break", ["a break"], "a break"),
    ],
)
def test_break_begins_a_section(text: str, sections: list[str], words: str) -> None:
    prompt = weighted_prompt(text)
    assert ["".join(piece.text for piece in section) for section in prompt.sections] == sections
    assert prompt.is_plain == (len(sections) == 1)
    assert prompt.text == words


def test_a_weight_reaches_over_a_break() -> None:
    assert [[piece.weight for piece in part] for part in weighted_prompt("(a BREAK b:1.5)").sections] == [[1.5], [1.5]]


@pytest.mark.parametrize(
    ("text", "words", "unread"),
    [
        ("a fox AND a lake", "a fox, a lake", ("AND is read as a comma",)),
        ("SAND and LAND", "SAND and LAND", ()),
        ("[fox:cat:0.5]", "fox:cat:0.5", ("[from:to:when] is read as plain text",)),
        ("[fox:5]", "fox:5", ("[from:to:when] is read as plain text",)),
        ("[fox|cat]", "fox|cat", ("[this|that] is read as plain text",)),
        (r"\[fox|cat\] (a:1.2) [b]", "[fox|cat] a b", ()),
    ],
)
def test_what_is_not_drawn_as_in_a1111_is_named(text: str, words: str, unread: tuple[str, ...]) -> None:
    prompt = weighted_prompt(text)
    assert (prompt.text, prompt.unread) == (words, unread)


@given(st.text(alphabet="ab()[]:\\.,1-+ \nBREAKND|<", max_size=120) | st.text(max_size=60))
def test_any_text_can_be_read(text: str) -> None:
    prompt = weighted_prompt(text)
    pieces = [piece for section in prompt.sections for piece in section]
    assert prompt.sections
    assert all(math.isfinite(piece.weight) and abs(piece.weight) <= MAX_WEIGHT and piece.text for piece in pieces)
    for section in prompt.sections:
        assert all(left.weight != right.weight for left, right in itertools.pairwise(section))


@given(st.text(alphabet=st.characters(exclude_characters="()[]\\"), max_size=60))
def test_text_without_syntax_stays_as_it_is(text: str) -> None:
    if "BREAK" not in text and "AND" not in text:
        assert weighted_prompt(text).text == text


@pytest.mark.parametrize("text", ["(" * 200_000, "(a" * 50_000 + ":1.1)" * 50_000, "[:" * 100_000, " BREAK" * 50_000])
def test_long_text_takes_linear_time(text: str) -> None:
    started = time.perf_counter()
    weighted_prompt(text)
    assert time.perf_counter() - started < 10
