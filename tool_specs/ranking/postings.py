"""An inverted index of terms: which documents hold a term, and how much it counts there by BM25."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Self

import numpy as np
from numpy.typing import NDArray

from tool_specs.ranking.texts import Terms

K1: Final = 1.2
B: Final = 0.75


def rarity(often: NDArray[np.int64], documents: int) -> NDArray[np.float32]:
    """How much a term counts by how rare it is: the other factor of BM25 (Robertson & Zaragoza 2009, eq. 3.15).

    Args:
        often: In how many documents each term occurs, (terms,).
        documents: How many there are.
    """
    return np.log1p((documents - often + 0.5) / (often + 0.5)).astype(np.float32)


@dataclass(frozen=True, slots=True)
class Postings:
    """Documents by term; never changed once made.

    Attributes:
        terms: The terms in rising order, (terms,).
        starts: Where the documents of each term begin, (terms + 1,).
        documents: Document numbers, rising within a term, (postings,).
        impacts: How much the term counts in the document: BM25 (Robertson & Zaragoza 2009, eq. 3.15) without the factor
            for the rarity of the term, (postings,).
        size: Documents in all.
    """

    terms: Terms
    starts: NDArray[np.int64]
    documents: NDArray[np.uint32]
    impacts: NDArray[np.float32]
    size: int

    @classmethod
    def of(cls, documents: Sequence[Terms], *, mean_length: float) -> Self:
        """Index documents.

        Args:
            documents: The terms of each, repeated as often as they occur.
            mean_length: Terms in an ordinary document. It is given, not measured, so that adding documents changes
                nothing about those that are there.
        """
        lengths = np.array([len(terms) for terms in documents], dtype=np.int64)
        owners = np.repeat(np.arange(len(documents), dtype=np.uint64), lengths)
        every = np.concatenate([*documents, np.zeros(0, dtype=np.uint32)]).astype(np.uint64)
        keys, times = np.unique((every << np.uint64(32)) | owners, return_counts=True)
        numbers = (keys & np.uint64(0xFFFFFFFF)).astype(np.uint32)
        norms = K1 * (1 - B + B * lengths / mean_length)
        impacts = (times * (K1 + 1) / (times + norms[numbers])).astype(np.float32)
        return cls._by_term((keys >> np.uint64(32)).astype(np.uint32), numbers, impacts, len(documents))

    @classmethod
    def _by_term(
        cls, sorted_terms: Terms, documents: NDArray[np.uint32], impacts: NDArray[np.float32], size: int
    ) -> Self:
        terms, starts = np.unique(sorted_terms, return_index=True)
        return cls(terms, np.append(starts, len(sorted_terms)).astype(np.int64), documents, impacts, size)

    @classmethod
    def joined(cls, parts: Sequence[tuple[Self, NDArray[np.bool_]]]) -> Self:
        """Several indexes as one: documents that are kept, numbered anew in order.

        Args:
            parts: Each index with which of its documents to keep, (size,).
        """
        terms, documents, impacts, offset = [], [], [], 0
        for part, kept in parts:
            numbers = np.cumsum(kept) - 1 + offset
            here = kept[part.documents]
            terms.append(np.repeat(part.terms, np.diff(part.starts))[here])
            documents.append(numbers[part.documents[here]].astype(np.uint32))
            impacts.append(part.impacts[here])
            offset += int(kept.sum())
        every, numbered = np.concatenate(terms), np.concatenate(documents)
        order = np.lexsort((numbered, every))
        return cls._by_term(every[order], numbered[order], np.concatenate(impacts)[order], offset)

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray[np.generic]], size: int) -> Self:
        """What `arrays` gave."""
        return cls(
            terms=arrays["terms"].astype(np.uint32, copy=False),
            starts=arrays["starts"].astype(np.int64, copy=False),
            documents=arrays["documents"].astype(np.uint32, copy=False),
            impacts=arrays["impacts"].astype(np.float32, copy=False),
            size=size,
        )

    def arrays(self) -> dict[str, NDArray[np.generic]]:
        """All that it is made of."""
        return {
            "terms": self.terms,
            "starts": self.starts,
            "documents": self.documents,
            "impacts": self.impacts,
        }

    def frequencies(self, terms: Terms) -> NDArray[np.int64]:
        """In how many documents each term occurs, (terms,)."""
        places, known = self._places(terms)
        return np.where(known, self.starts[places + known] - self.starts[places], 0)

    def add_scores(self, terms: Terms, weights: NDArray[np.float32], scores: NDArray[np.float32]) -> None:
        """Add to the score of each document the weighted impacts of the terms it holds.

        Args:
            terms: Different terms, (n,).
            weights: Of each, (n,).
            scores: (size,); changed in place.
        """
        places, known = self._places(terms)
        for place, weight in zip(places[known], weights[known], strict=True):
            start, stop = self.starts[place], self.starts[place + 1]
            scores[self.documents[start:stop]] += weight * self.impacts[start:stop]

    def _places(self, terms: Terms) -> tuple[NDArray[np.intp], NDArray[np.bool_]]:
        if not len(self.terms):
            return np.zeros(len(terms), dtype=np.intp), np.zeros(len(terms), dtype=bool)
        places = np.minimum(np.searchsorted(self.terms, terms), len(self.terms) - 1)
        return places, self.terms[places] == terms
