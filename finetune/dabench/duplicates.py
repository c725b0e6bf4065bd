"""Near-duplicates: MinHash and locality-sensitive hashing over words and pairs of words, joined into clusters."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from tool_specs.ranking.texts import distinct, grams, numbered, words

BANDS: Final = 42
ROWS: Final = 3
"""Two texts of Jaccard index s are compared with probability 1 - (1 - s^ROWS)^BANDS: .99996 at .6, .998 at .5."""

SIMILARITY: Final = 0.6
"""Jaccard index from which on requests are near-duplicates, unless somebody chooses another."""

_SEED: Final = 20240407
"""Of the hash functions; a constant, so that the same texts always make the same clusters."""


def clusters(texts: Sequence[str], *, similarity: float) -> NDArray[np.int64]:
    """Number the clusters of near-duplicates: a text belongs to one if it is near to any other in it.

    Two texts are near when the Jaccard index of their sets of words and of pairs of neighbouring words is at least
    `similarity`. Candidates come from MinHash (Broder 1997) with banding (Leskovec, Rajaraman and Ullman, Mining of
    Massive Datasets, section 3.4) and are then compared exactly.

    Args:
        texts: The texts.
        similarity: Least Jaccard index, above 0.

    Returns:
        For each text the place of the first one of its cluster, (texts,).
    """
    shingles = [distinct(numbered(grams(words(text)))) for text in texts]
    sets = [frozenset(terms.tolist()) for terms in shingles]
    forest = _Forest(len(texts))
    for group in _groups(_signatures(shingles)):
        parts: list[list[int]] = []
        for one in group:
            joined, apart = [one], []
            for part in parts:
                if forest.root(part[0]) == forest.root(one) or any(_near(sets[one], sets[n], similarity) for n in part):
                    forest.join(part[0], one)
                    joined += part
                else:
                    apart.append(part)
            parts = [*apart, joined]
    return np.array([forest.root(n) for n in range(len(texts))], dtype=np.int64)


class _Forest:
    """Union-find; the root of a tree is its least number."""

    def __init__(self, size: int) -> None:
        self._parents = list(range(size))

    def root(self, node: int) -> int:
        parents = self._parents
        while parents[node] != node:
            parents[node] = parents[parents[node]]
            node = parents[node]
        return node

    def join(self, first: int, second: int) -> None:
        one, other = sorted((self.root(first), self.root(second)))
        self._parents[other] = one


def _signatures(shingles: Sequence[NDArray[np.uint32]]) -> NDArray[np.uint32]:
    """The least hash of each text under each hash function, (texts, BANDS * ROWS).

    The functions are multiply-add-shift of 32 to 32 bits (Dietzfelbinger 1996), which are 2-independent. A text without
    words is given the hash of its place, so that it is near to nothing.
    """
    filled = [terms if len(terms) else np.array([n], dtype=np.uint32) for n, terms in enumerate(shingles)]
    starts = np.cumsum([0, *map(len, filled[:-1])])
    flat = np.concatenate([*filled, np.zeros(0, dtype=np.uint32)]).astype(np.uint64)
    generator = np.random.default_rng(_SEED)
    factors = generator.integers(0, 2**64, size=(BANDS * ROWS, 2), dtype=np.uint64)
    signatures = np.zeros((len(filled), BANDS * ROWS), dtype=np.uint32)
    for n, (factor, summand) in enumerate(factors if len(filled) else ()):
        hashes = ((factor * flat + summand) >> np.uint64(32)).astype(np.uint32)
        signatures[:, n] = np.minimum.reduceat(hashes, starts)
    return signatures


def _groups(signatures: NDArray[np.uint32]) -> Iterator[list[int]]:
    """Places of texts that agree in all rows of some band."""
    for band in range(BANDS):
        rows = np.ascontiguousarray(signatures[:, band * ROWS : (band + 1) * ROWS])
        keys = rows.view(np.dtype((np.void, rows.itemsize * ROWS))).ravel()
        _, numbers, counts = np.unique(keys, return_inverse=True, return_counts=True)
        order = np.argsort(numbers, kind="stable")
        for group in np.split(order, np.cumsum(counts)[:-1]):
            if len(group) > 1:
                yield group.tolist()


def _near(first: frozenset[int], second: frozenset[int], similarity: float) -> bool:
    shorter, longer = sorted((len(first), len(second)))
    if shorter < similarity * longer:
        return False
    shared = len(first & second)
    return shared >= similarity * (shorter + longer - shared)
