"""What a pair must be: safe, in English, long enough to say something, and about models that may be offered."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

from tool_specs.calls import Call
from tool_specs.civitai.ratings import text_rating
from tool_specs.ranking.texts import words
from tool_specs.rules import Rules
from tool_specs.spec import RATINGS, ContentRating, ToolSpec

NOT_OFFERED: Final = "a model may not be offered: "
"""Before the reason that the rules of the shortlist give."""
UNSAFE_TEXT: Final = "its words are not safe to show"
MARKS: Final = "it holds the marks of a chat template"
SHORT: Final = "it describes too little"
NOT_ENGLISH: Final = "it is not in English"

LEAST_WORDS: Final = 3
"""Of a description."""
LATIN: Final = 0.9
"""Least share of the letters that are those of English."""

ENGLISH: Final = frozenset(
    {
        "a", "an", "and", "are", "at", "by", "for", "from", "has", "her", "his", "in", "into", "is", "it", "of", "on",
        "the", "their", "to", "under", "wearing", "while", "with",
    }
)  # fmt: skip
FOREIGN: Final = frozenset(
    {
        "al", "auf", "aus", "avec", "che", "com", "con", "dans", "das", "dei", "del", "della", "der", "des", "dos",
        "du", "ein", "eine", "einem", "einen", "einer", "el", "em", "en", "est", "et", "für", "il", "im", "ist", "las",
        "les", "los", "met", "mit", "na", "nel", "nella", "och", "para", "pela", "pelo", "por", "sie", "sobre", "sur",
        "um", "uma", "un", "una", "une", "und", "uno", "zum", "zur",
    }
)  # fmt: skip
"""Small words of German, French, Spanish, Portuguese, Italian and Dutch that are none of English, nor of names."""

_LETTER: Final = re.compile(r"[^\W\d_]")
_ENGLISH_LETTER: Final = re.compile(r"[A-Za-z]")
_MARKS: Final = re.compile(r"<\|[\w ]*\|>|</?(?:s|think|tool_call|tool_response|tools|im_start|im_end)>|\[/?INST\]")


def reason_against(description: str, call: Call, specs: Sequence[ToolSpec], *, rating: ContentRating) -> str:
    """Why a call must not become a pair; empty when nothing speaks against it.

    Models must pass the hard rules of the shortlist (`tool_specs.rules`): what is never offered cannot be chosen.

    Args:
        description: What the picture shows, in plain words; or the instruction, where that was written by somebody.
        call: The call that drew it.
        specs: The specs of its models.
        rating: The strongest content allowed. Negative prompts are not rated: they say what is not to be seen.
    """
    allowed = RATINGS[: RATINGS.index(rating) + 1]
    rules = Rules(ratings=allowed)
    objection = next(filter(None, map(rules.reason_against, specs)), "")
    reasons = {
        NOT_OFFERED + objection: bool(objection),
        UNSAFE_TEXT: text_rating(f"{description} {call.prompt}") not in allowed,
        MARKS: _MARKS.search(f"{description} {call.prompt} {call.negative_prompt}") is not None,
        SHORT: len(words(description)) < LEAST_WORDS,
        NOT_ENGLISH: not looks_english(description),
    }
    return next((reason for reason, holds in reasons.items() if holds), "")


def looks_english(text: str) -> bool:
    """Whether a text may be English.

    At least `LATIN` of its letters are English ones, and it has not two or more small words of other languages
    (`FOREIGN`) and more of them than of English (`ENGLISH`). So lists of tags pass, which have no small words at all.
    """
    letters = _LETTER.findall(text)
    if len(_ENGLISH_LETTER.findall(text)) < LATIN * len(letters) or not letters:
        return False
    found = words(text)
    foreign = sum(word in FOREIGN for word in found)
    return foreign < 2 or foreign <= sum(word in ENGLISH for word in found)
