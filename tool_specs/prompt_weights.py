r"""How the community weighs the words of a prompt: the syntax of A1111, read into pieces of text with a weight each.

| written | read as |
| --- | --- |
| `(fox)`, `[fox]` | weight 1.1, 1 / 1.1 |
| `(fox:1.3)` | weight 1.3; nested weights multiply |
| `\(fox\)` | plain brackets |
| `a fox BREAK a lake` | two sections, which a text encoder reads apart |
| `a fox AND a lake` | a comma: two prompts that guide one picture are not drawn |
| `[fox:cat:0.5]`, `[fox\|cat]` | plain text in square brackets: prompts do not change between steps |
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby
from operator import itemgetter
from typing import Final, NamedTuple

MAX_WEIGHT: Final = 10.0
"""Weights stay between this and its negative; beyond it a picture is noise."""

_FACTORS: Final = {"(": 1.1, "[": 1 / 1.1}
_OPENING: Final = {")": "(", "]": "["}

_TOKEN: Final = re.compile(
    r"""
    \\(?P<escaped>[()\[\]\\])
    | :\s*(?P<weight>[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+))\s*\)
    | (?P<bracket>[()\[\]])
    | (?P<text>[^\\()\[\]:]+|.)
    """,
    re.VERBOSE | re.DOTALL,
)
_BREAK: Final = re.compile(r"\bBREAK\b")
_AND: Final = re.compile(r" ?\bAND\b")
_UNREAD: Final = {
    "AND is read as a comma": re.compile(r"\bAND\b"),
    "[from:to:when] is read as plain text": re.compile(r"(?<!\\)\[[^\[\]]*:\s*[0-9]*\.?[0-9]+\s*\]"),
    "[this|that] is read as plain text": re.compile(r"(?<!\\)\[[^\[\]|]*\|[^\[\]]*\]"),
}


class Piece(NamedTuple):
    """Text of one weight."""

    text: str
    weight: float


Section = tuple[Piece, ...]
"""What stands between two `BREAK`s."""


@dataclass(frozen=True, slots=True)
class WeightedPrompt:
    """A prompt as it is meant.

    Attributes:
        sections: At least one; neighbouring pieces differ in weight.
        unread: What A1111 draws in another way than is done here, in words.
    """

    sections: tuple[Section, ...]
    unread: tuple[str, ...] = ()

    @property
    def is_plain(self) -> bool:
        """Whether the text alone says everything: one section, every weight 1."""
        return len(self.sections) == 1 and all(piece.weight == 1 for piece in self.sections[0])

    @property
    def text(self) -> str:
        """The words without the syntax; a comma stands for each `BREAK`."""
        texts = ["".join(piece.text for piece in section) for section in self.sections]
        if len(texts) == 1:
            return texts[0]
        return ", ".join(text for each in texts if (text := each.strip(" \n,")))


def weighted_prompt(text: str) -> WeightedPrompt:
    """Read a prompt, however messy: what cannot be syntax is text, and what is left open ends with the prompt.

    As `parse_prompt_attention` of A1111 reads it
    (https://github.com/AUTOMATIC1111/stable-diffusion-webui/blob/master/modules/prompt_parser.py), but that weights
    stay within `MAX_WEIGHT`, a `BREAK` within brackets is one, a lone backslash stays, and no text raises. Takes
    linear time.

    Args:
        text: A prompt without network tags.
    """
    sections = [
        tuple(Piece("".join(part for part, _ in run), weight) for weight, run in groupby(section, key=itemgetter(1)))
        for section in _sections(text)
    ]
    return WeightedPrompt(tuple(sections), tuple(name for name, pattern in _UNREAD.items() if pattern.search(text)))


def _sections(text: str) -> list[list[tuple[str, float]]]:
    """Text and weight, token by token, for each section."""
    tokens = list(_TOKEN.finditer(text))
    factors, closing = _matched(tokens)
    weights = {"(": [1.0], "[": [1.0]}
    sections: list[list[tuple[str, float]]] = [[]]
    for number, token in enumerate(tokens):
        if number in factors:
            levels = weights[token[0]]
            levels.append(_bounded(levels[-1] * factors[number]))
        elif number in closing:
            weights[closing[number]].pop()
        else:
            weight = _bounded(weights["("][-1] * weights["["][-1])
            first, *others = [token["escaped"]] if token["escaped"] else _BREAK.split(token[0])
            sections[-1].append((_AND.sub(",", first), weight))
            sections += [[(_AND.sub(",", other), weight)] for other in others]
    return sections


def _matched(tokens: Sequence[re.Match[str]]) -> tuple[dict[int, float], dict[int, str]]:
    """Which tokens are brackets, by their number.

    Returns:
        The factor of each opening bracket, and the kind of bracket that each closing one ends. Round and square
        brackets may overlap. A closing bracket that ends nothing is text; an opening one without an end is not.
    """
    still_open: dict[str, list[int]] = {"(": [], "[": []}
    factors: dict[int, float] = {}
    closing: dict[int, str] = {}
    for number, token in enumerate(tokens):
        if token["bracket"] in _FACTORS:
            still_open[token[0]].append(number)
            factors[number] = _FACTORS[token[0]]
            continue
        kind = "(" if token["weight"] else _OPENING.get(token["bracket"] or "", "")
        if kind and still_open[kind]:
            closing[number] = kind
            opening = still_open[kind].pop()
            factors[opening] = float(token["weight"] or _FACTORS[kind])
    return factors, closing


def _bounded(weight: float) -> float:
    return min(max(weight, -MAX_WEIGHT), MAX_WEIGHT)
