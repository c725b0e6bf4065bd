"""Search by words: BM25 over what is written about each spec."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from tool_specs.search.reading import normal, singular
from tool_specs.spec import ToolSpec

K1 = 1.2
B = 0.75
_COMMON = frozenset({"a", "an", "the", "and", "or", "of", "in", "on", "at", "to", "for", "with", "is", "it", "this"})


class WordIndex:
    """BM25 (Robertson & Zaragoza 2009, eq. 3.15) over name, tags, trigger words, example prompts and description.

    Args:
        specs: The documents, in order.
    """

    def __init__(self, specs: Sequence[ToolSpec]) -> None:
        counts = [Counter(words_of(_document(spec))) for spec in specs]
        lengths = np.array([max(1, sum(count.values())) for count in counts], dtype=np.float32)
        self._norms = K1 * (1 - B + B * lengths / lengths.mean()) if specs else lengths
        self._postings: dict[str, list[tuple[int, int]]] = {}
        for number, count in enumerate(counts):
            for word, times in count.items():
                self._postings.setdefault(word, []).append((number, times))

    def scores(self, request: str) -> NDArray[np.float32]:
        """BM25 of each spec for a request, (specs,)."""
        scores = np.zeros(len(self._norms), dtype=np.float32)
        for word in set(words_of(request)):
            postings = self._postings.get(word, [])
            rarity = math.log(1 + (len(scores) - len(postings) + 0.5) / (len(postings) + 0.5))
            for number, times in postings:
                scores[number] += rarity * times * (K1 + 1) / (times + self._norms[number])
        return scores


def words_of(text: str) -> list[str]:
    """The words of a text that say something, in the singular."""
    return [singular(word) for word in normal(text).split() if word not in _COMMON]


def _document(spec: ToolSpec) -> str:
    prompts = " ".join(example.prompt for example in spec.examples)
    return " ".join((spec.model_name, *spec.tags, *spec.trigger_words, prompts, spec.description))
