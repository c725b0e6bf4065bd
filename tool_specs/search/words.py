"""Search by words: BM25 over what is written about each spec."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from tool_specs.ranking.postings import Postings, rarity
from tool_specs.ranking.texts import distinct, numbered
from tool_specs.search.reading import normal, singular
from tool_specs.spec import ToolSpec

_COMMON = frozenset({"a", "an", "the", "and", "or", "of", "in", "on", "at", "to", "for", "with", "is", "it", "this"})


class WordIndex:
    """BM25 (Robertson & Zaragoza 2009, eq. 3.15) over name, tags, trigger words, example prompts and description.

    Args:
        specs: The documents, in order.
    """

    def __init__(self, specs: Sequence[ToolSpec]) -> None:
        documents = [numbered(words_of(_document(spec))) for spec in specs]
        lengths = [max(1, len(terms)) for terms in documents]
        self._postings = Postings.of(documents, mean_length=sum(lengths) / max(1, len(lengths)))

    def scores(self, request: str) -> NDArray[np.float32]:
        """BM25 of each spec for a request, (specs,)."""
        scores = np.zeros(self._postings.size, dtype=np.float32)
        terms = distinct(numbered(words_of(request)))
        weights = rarity(self._postings.frequencies(terms), self._postings.size)
        self._postings.add_scores(terms, weights, scores)
        return scores


def words_of(text: str) -> list[str]:
    """The words of a text that say something, in the singular."""
    return [singular(word) for word in normal(text).split() if word not in _COMMON]


def _document(spec: ToolSpec) -> str:
    prompts = " ".join(example.prompt for example in spec.examples)
    return " ".join((spec.model_name, *spec.tags, *spec.trigger_words, prompts, spec.description))
