"""Prompts for models that know only the words they were trained on: a request said in those words."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Self

from tool_specs.search.embedder import Embedder
from tool_specs.search.matching import Match, Thresholds, understand
from tool_specs.search.terms import Term, TermIndex, indefinite
from tool_specs.spec import ToolSpec

PLAIN_PLACE = "white background"
"""Where a thing is put when the request does not say: captions of closed vocabularies name a place each time."""


@dataclass(frozen=True, slots=True)
class Translation:
    """A request in the words of a vocabulary.

    Attributes:
        text: The prompt; the request itself where the vocabulary has no word for the thing asked for.
        replaced: Words of the request and what stands for them.
        unknown: Phrases of the request that were left out.
    """

    text: str
    replaced: tuple[tuple[str, str], ...] = ()
    unknown: tuple[str, ...] = ()


class ClosedVocabulary:
    """The words that a checkpoint and the networks with it were trained on.

    Args:
        terms: Subjects, places and styles.
        embedder: Finds the nearest of them.
        thresholds: What counts as near.
    """

    def __init__(self, terms: Iterable[Term], embedder: Embedder, *, thresholds: Thresholds | None = None) -> None:
        self._index = TermIndex(terms, embedder)
        self._thresholds = thresholds

    @classmethod
    def of(
        cls,
        checkpoint: ToolSpec,
        networks: Iterable[ToolSpec],
        embedder: Embedder,
        *,
        thresholds: Thresholds | None = None,
    ) -> Self:
        """The vocabulary of a checkpoint's tags and of the networks' trigger words."""
        index = TermIndex.of((checkpoint, *networks), embedder)
        return cls(index.terms, embedder, thresholds=thresholds)

    def translate(self, request: str) -> Translation:
        """Say a request in known words, in the order of the captions: the thing, the place, the styles.

        "a kitten on a blue backdrop, 8-bit" becomes "a cat on a blue background, pixel art". A request without a place
        gets the plain one, if the vocabulary has it.
        """
        found = understand(request, self._index, self._thresholds)
        if not found.subjects:
            return Translation(request, unknown=found.unknown)
        subject = found.subjects[0]
        place = max(found.places, key=lambda match: match.similarity, default=None)
        where = place.term.writes if place is not None else self._plain_place
        text = f"{indefinite(subject.term.writes)} {where}".rstrip()
        parts = dict.fromkeys([text, *(match.term.writes for match in found.styles)])
        used = [match for match in (subject, place, *found.styles) if match is not None]
        rest = [match for match in found.subjects if match.request_words != subject.request_words]
        rest += [match for match in found.places if place is not None and match.request_words != place.request_words]
        return Translation(
            text=", ".join(part for part in parts if part),
            replaced=tuple(dict.fromkeys(_replacement(match) for match in used if match.similarity < 1.0)),
            unknown=(*found.unknown, *dict.fromkeys(match.request_words for match in rest)),
        )

    @property
    def _plain_place(self) -> str:
        plain = (term.writes for term in self._index.terms if term.role == "place" and term.phrase == PLAIN_PLACE)
        return next(plain, "")


def _replacement(match: Match) -> tuple[str, str]:
    return match.request_words, match.term.writes
