"""Lessons in other words: what a lesson quotes from specs and from the request, put into words that mean nothing.

A planner that has seen the same few hundred words again and again writes them from memory, and gets a word wrong that
it has never seen. In a lesson with aliases nothing helps but to read which word a model knows for what is asked, and to
copy it.
"""

from __future__ import annotations

import re

import numpy as np

from finetune.pocket.world import COLOURS, SCENES

_REASON = re.compile(r"(?:knows|nearest word:) '([^\n]+?)'(?: for '([^\n]+?)' \(\d\.\d\d\)|(?=[.;]))")
_TRIGGER = re.compile(r"triggered by '([^\n]+?)'")
_PLACES = frozenset(word for phrase in (*COLOURS, *SCENES, *SCENES.values()) for word in phrase.split())
_STARTS = (
    "b", "bl", "c", "ch", "d", "dr", "f", "fl", "g", "gr", "h", "j", "k", "l", "m", "n", "p", "qu", "r", "s", "sc",
    "sh", "sp", "st", "t", "th", "tr", "v", "w", "z", "",
)  # fmt: skip
_VOWELS = ("a", "e", "i", "o", "u", "ea", "oo", "ai", "y", "ie")
_ENDS = ("", "", "", "b", "ck", "d", "ff", "g", "l", "ll", "m", "n", "ng", "nt", "p", "r", "rd", "s", "sk", "t", "x")
TWO_WORDS = 0.25
"""Share of the aliases that are two words."""


def with_aliases(row: dict[str, str], rng: np.random.Generator) -> dict[str, str]:
    """A rendered lesson with an alias for each word that a spec knows, that a request asks for, or that triggers.

    A phrase has one alias throughout the row. Backgrounds and colours keep their words, and so does everything that is
    not quoted as a reason to offer a model.

    Args:
        row: `id`, `prompt` and `completion`, in the words of the pocket planner's chat template.
        rng: Where chance comes from.
    """
    reasons = _REASON.findall(row["prompt"])
    phrases = [phrase for reason in reasons for phrase in reason if phrase] + _TRIGGER.findall(row["prompt"])
    aliases = {phrase: _alias(rng) for phrase in dict.fromkeys(phrases) if not _PLACES & set(phrase.split())}
    if not aliases:
        return row
    longest_first = sorted(aliases, key=len, reverse=True)
    # The names of arguments stay as they are.
    aliased = re.compile(rf"(?<!\w)({'|'.join(map(re.escape, longest_first))})(?!\w|\": )")
    parts = ("prompt", "completion") if "<tool_call>" in row["completion"] else ("prompt",)
    return row | {part: _articles(aliased.sub(lambda found: aliases[found[0]], row[part])) for part in parts}


def _articles(text: str) -> str:
    """A text with "a" before consonants and "an" before vowels."""
    return re.sub(r"\b([Aa])n? (?=([a-z]))", lambda found: found[1] + ("n " if found[2] in "aeiou" else " "), text)


def _alias(rng: np.random.Generator) -> str:
    return " ".join(_word(rng) for _ in range(2 if rng.random() < TWO_WORDS else 1))


def _word(rng: np.random.Generator) -> str:
    parts = (_STARTS, _VOWELS, _ENDS) * int(rng.integers(1, 4))
    return "".join(str(part[int(rng.integers(len(part)))]) for part in parts)
