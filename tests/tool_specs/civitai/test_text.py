from __future__ import annotations

import re
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tool_specs.civitai.text import plain_text


@pytest.mark.parametrize(
    ("html", "text"),
    [
        (
            "<p>Made from <strong>40</strong> drawings&nbsp;by A.</p><p>Use 0.9</p>",
            "Made from 40 drawings by A.\nUse 0.9",
        ),
        ("<strong>w</strong>ord, <em>x</em>.", "word, x."),
        ("a<br/>b<br>c", "a\nb\nc"),
        ("<ul><li>one</li><li>two</li></ul>", "one\ntwo"),
        ("<script>alert(1)</script>x<style>p{}</style><!-- no -->y", "x y"),
        ("&lt;script&gt;alert(1)&lt;/script&gt;", "alert(1)"),
        ("5 < 6 and 7 > 3", "5 < 6 and 7 > 3"),
        ('<a href="https://x.y/?a=1&b=2" title="x">link</a>s', "links"),
        ("<p>unclosed <b>tag</p><a href=", "unclosed tag"),
        ("<!-- unclosed", ""),
        ("a\x00\x1b[2Jb\u202e", "a [2Jb"),
        ("&lt;img&lt;b&gt; src=x onerror=alert(1)&gt;", "< img src=x onerror=alert(1)>"),
        ("<\u200bimg src=x onerror=alert(1)>x", "x"),
        ("<scr\u00adipt>x</scr\u00adipt>y", "y"),
        ("fox\U000e0069\U000e0067\U000e006e", "fox"),
        ("", ""),
    ],
)
def test_markup_goes_and_text_stays(html: str, text: str) -> None:
    assert plain_text(html, 200).replace("  ", " ") == text


def test_long_text_is_cut_at_a_word() -> None:
    assert plain_text("one two three four", 13) == "one two…"
    assert plain_text("x" * 50, 10) == "x" * 9 + "…"
    assert plain_text("exactly ten", 11) == "exactly ten"


@given(st.text(max_size=400), st.integers(min_value=1, max_value=100))
def test_any_text_is_bounded_and_one_with_itself(text: str, limit: int) -> None:
    plain = plain_text(text, limit)

    assert len(plain) <= limit
    assert plain == plain.strip()
    assert not re.search(r"<[a-zA-Z/!?]", plain)
    plain.encode()


@given(st.lists(st.sampled_from(["<", "&lt;", "b", ">", "&gt;", "script", "/", "!--", "\u200b", "\x00", " ", "x=1"])))
def test_no_tag_survives(pieces: list[str]) -> None:
    assert not re.search(r"<[a-zA-Z/!?]", plain_text("".join(pieces), 200))


@pytest.mark.parametrize("piece", ["<", "<!--", "<a ", "&lt;", "<script>", "\n ", "</", "&#"])
def test_hostile_markup_takes_no_time(piece: str) -> None:
    start = time.process_time()
    plain_text(piece * 100_000, 2000)
    assert time.process_time() - start < 1
