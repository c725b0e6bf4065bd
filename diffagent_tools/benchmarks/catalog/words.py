"""Made-up text whose words are as unevenly frequent as those of a real language."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Final, Self

import numpy as np
from numpy.typing import NDArray

FUNCTION_WORDS: Final = (
    "a", "an", "and", "are", "as", "at", "be", "but", "by", "can", "for", "from", "has", "have", "if", "in", "into",
    "is", "it", "its", "more", "no", "not", "of", "on", "or", "our", "so", "some", "such", "than", "that", "the",
    "their", "then", "there", "these", "they", "this", "to", "was", "we", "will", "with", "you", "your",
)  # fmt: skip
"""Words that carry no topic; every full-text index leaves out most of them."""
_ONSETS: Final = ("b", "br", "c", "ch", "d", "dr", "f", "g", "gl", "h", "j", "k", "l", "m", "n", "p", "r", "s", "st", "t", "v", "z")  # fmt: skip  # noqa: E501
_VOWELS: Final = ("a", "e", "i", "o", "u", "ai", "ea", "oo")
_CODAS: Final = ("", "", "l", "n", "r", "sk", "t", "x")


@dataclass(frozen=True, slots=True)
class Mixture:
    """Which share of the words of a text are function words and words of its topic; the rest may be anything."""

    function: float
    topic: float


DESCRIPTION: Final = Mixture(function=0.35, topic=0.25)
PROMPT: Final = Mixture(function=0.15, topic=0.45)
NAME: Final = Mixture(function=0.05, topic=0.55)
TAG: Final = Mixture(function=0.0, topic=0.6)


class Vocabulary:
    """Words, and texts made of them.

    Args:
        words: Content words, the most frequent first.
        topics: (topics, words of a topic) numbers of the words that each topic prefers.
    """

    def __init__(self, words: tuple[str, ...], topics: NDArray[np.int64]) -> None:
        self.words = words
        self._topics = topics

    @classmethod
    def make(cls, source: np.random.Generator, *, words: int, topics: int, words_of_a_topic: int = 30) -> Self:
        """Make up a vocabulary."""
        found: dict[str, None] = {}
        while len(found) < words:
            syllables = [_ONSETS, _VOWELS, _CODAS] * int(source.integers(1, 3))
            word = "".join(part[source.integers(len(part))] for part in syllables)
            if word not in FUNCTION_WORDS:
                found[word] = None
        return cls(tuple(found), source.integers(words // 100, words, size=(topics, words_of_a_topic)))

    def texts(
        self, source: np.random.Generator, topics: NDArray[np.int64], lengths: NDArray[np.int64], mixture: Mixture
    ) -> list[str]:
        """One text for each topic, of as many words as its length says."""
        total = int(lengths.sum())
        topic = np.repeat(topics, lengths)
        content = np.searchsorted(self._frequencies, source.random(total))
        own = self._topics[topic, source.integers(self._topics.shape[1], size=total)]
        filler = (source.random(total) ** 2 * len(FUNCTION_WORDS)).astype(np.int64)
        kind = source.random(total)
        numbers = np.where(kind < mixture.function + mixture.topic, own, content)
        numbers = np.where(kind < mixture.function, len(self.words) + filler, numbers)
        tokens = np.array((*self.words, *FUNCTION_WORDS), dtype=object)[numbers]
        return [" ".join(part) for part in np.split(tokens, np.cumsum(lengths))[:-1]]

    @cached_property
    def _frequencies(self) -> NDArray[np.float64]:
        """How probable the first n words are together, by Zipf's law."""
        shares = 1 / (np.arange(len(self.words)) + 2.7)
        return np.cumsum(shares / shares.sum())
