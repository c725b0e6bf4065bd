"""How requests, prompts and descriptions become terms: words, pairs of words, phrases and pieces of words, as numbers.

A term is the CRC-32 of its text. Of a million different terms about a hundred pairs share a number, which changes no
ranking, and an index of numbers needs no strings.
"""

from __future__ import annotations

import itertools
import re
import zlib
from collections.abc import Iterable, Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

Terms = NDArray[np.uint32]

PIECE: Final = 4
"""Letters in a piece of a word."""
_WORD: Final = re.compile(r"[^\W_]+(?:'[^\W_]+)?")
_BREAK: Final = re.compile(r"[,.;:|\n]")


def words(text: str) -> list[str]:
    """The words of a text in lower case, in order."""
    return _WORD.findall(text.lower())


def grams(found: Sequence[str]) -> list[str]:
    """Words, and each pair of neighbours."""
    return [*found, *(f"{first}_{second}" for first, second in itertools.pairwise(found))]


def phrases(text: str) -> list[str]:
    """What stands between commas and the like, each as its words in a row."""
    return [" ".join(found) for part in _BREAK.split(text) if (found := words(part))]


def pieces(found: Iterable[str]) -> list[str]:
    """Overlapping runs of letters of each word, with its ends marked: they match names that are written otherwise."""
    out = []
    for word in found:
        marked = f"^{word}$"
        out += [marked[n : n + PIECE] for n in range(max(1, len(marked) - PIECE + 1))]
    return out


def numbered(tokens: Iterable[str]) -> Terms:
    """The terms of tokens, in order."""
    crc32 = zlib.crc32
    return np.array([crc32(token.encode("utf-8", "surrogatepass")) for token in tokens], dtype=np.uint32)


def distinct(terms: Terms) -> Terms:
    """Each term once, sorted."""
    return np.unique(terms)
