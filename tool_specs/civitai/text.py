"""A stranger's text as plain text: HTML stripped, control characters removed, cut to a length."""

from __future__ import annotations

import html
import re
from typing import Final

from tool_specs.prompts import clean_text

_MARKUP_PER_CHARACTER: Final = 20
"""How much markup is read for one character that is kept; the rest of an oversized description is not looked at."""

_HIDDEN: Final = re.compile(r"<!--.*?(?:-->|\Z)|<(script|style|iframe)\b.*?(?:</\1\s*>|\Z)", re.IGNORECASE | re.DOTALL)
_BREAK: Final = re.compile(r"<(?:br|hr|/p|/h\d|/li|/div|/tr|/ul|/ol|/pre|/blockquote)\b[^<>]*>", re.IGNORECASE)
_INLINE: Final = re.compile(
    r"</?(?:a|b|i|u|s|em|strong|span|code|font|small|mark|sub|sup|del|ins)(?:\s[^<>]*)?>", re.IGNORECASE
)
_TAG: Final = re.compile(r"</?[a-zA-Z][^<>]*(?:>|\Z)")
_OPENING: Final = re.compile(r"<(?=[a-zA-Z/!?])")
"""What could still begin a tag, when the tags around it are gone."""


def plain_text(text: str, limit: int) -> str:
    """Strip HTML and control characters, tidy blanks, and cut at a word.

    Args:
        text: HTML or plain text.
        limit: Most characters to keep; text that was cut ends in "…".
    """
    text = _HIDDEN.sub(" ", clean_text(text[: limit * _MARKUP_PER_CHARACTER]))
    text = _TAG.sub(" ", _INLINE.sub("", _BREAK.sub("\n", text)))
    text = _OPENING.sub("< ", _TAG.sub(" ", clean_text(html.unescape(text))))
    text = re.sub(r"[^\S\n]+", " ", text)
    text = re.sub(r" ?\n[\s]*", "\n", text).strip()
    if len(text) <= limit:
        return text
    cut = text[: limit - 1]
    shorter = cut.rsplit(maxsplit=1)[0] if " " in cut[-40:] or "\n" in cut[-40:] else cut
    return shorter.rstrip(" ,.;:\n") + "…"
