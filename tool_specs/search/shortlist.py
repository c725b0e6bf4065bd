"""The shortlist: the few specs that are offered for one request, and why."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from tool_specs.catalog import AnyCatalog
from tool_specs.compatibility import compatible
from tool_specs.exceptions import RequestError
from tool_specs.families import FAMILIES
from tool_specs.prompts import clean_text
from tool_specs.rules import Rules
from tool_specs.search.embedder import Embedder
from tool_specs.search.matching import Match, Thresholds, Understanding, understand
from tool_specs.search.reading import MAX_REQUEST
from tool_specs.search.terms import TermIndex
from tool_specs.search.words import WordIndex
from tool_specs.spec import ToolSpec

NEAREST = 3
WORDS_SHARE = 0.05
"""How much the words that a request shares with a spec add to its score, at most."""


@dataclass(frozen=True, slots=True)
class Hit:
    """A spec on the shortlist.

    Attributes:
        spec: The spec.
        score: How well it suits; comparable within one shortlist and one kind (checkpoints, networks).
        why: Reasons, each a few words.
        matched: What of the request it was matched with; empty where it is only the nearest there is. Of a checkpoint
            these are subjects; the places that it knows beside them are among the reasons.
    """

    spec: ToolSpec
    score: float
    why: tuple[str, ...] = ()
    matched: tuple[Match, ...] = ()


@dataclass(frozen=True, slots=True)
class Shortlist:
    """What is offered for a request.

    Attributes:
        request: The request, cleaned.
        hits: Checkpoints, best first.
        networks: Networks that load into one of them, best first; those with `matched` were asked for.
        excluded: Spec ids that the rules forbid, with the reason.
        fits: Whether any checkpoint can draw the request.
        nearest: The checkpoints nearest to the request, whether they can draw it or not.
    """

    request: str
    hits: tuple[Hit, ...]
    networks: tuple[Hit, ...]
    excluded: tuple[tuple[str, str], ...]
    fits: bool
    nearest: tuple[Hit, ...]

    @property
    def specs(self) -> tuple[ToolSpec, ...]:
        """All specs on offer, checkpoints first."""
        return tuple(hit.spec for hit in (*self.hits, *self.networks))


@runtime_checkable
class AnyShortlister(Protocol):
    """Finds what to offer: in a catalog in memory (`Shortlister`) or on disk (`ranked.RankedShortlister`)."""

    @property
    def catalog(self) -> AnyCatalog:
        """Where it looks."""
        ...

    @property
    def rules(self) -> Rules:
        """What may be offered."""
        ...

    def shortlist(self, request: str, k: int = 8) -> Shortlist:
        """The at most `k` checkpoints and `k` networks for a request.

        Raises:
            RequestError: The request is empty, too long, or `k` is below 1.
        """
        ...


class Shortlister:
    """Finds the specs for a request: words and meaning first, then the hard rules.

    A checkpoint of a family with a closed vocabulary suits by the thing asked for that it knows best. Any other
    checkpoint draws most things: it suits by its best evidence, which is an example prompt, a tag or its description.

    Args:
        catalog: Where to look.
        embedder: Compares texts by meaning.
        rules: What may be offered.
        thresholds: What counts as a match.
    """

    def __init__(
        self,
        catalog: AnyCatalog,
        embedder: Embedder,
        *,
        rules: Rules | None = None,
        thresholds: Thresholds | None = None,
    ) -> None:
        self.catalog = catalog
        self.embedder = embedder
        self.thresholds = thresholds or Thresholds()
        self.rules = rules or Rules()
        reasons = {spec.id: self.rules.reason_against(spec) for spec in catalog}
        self._excluded = tuple((name, reason) for name, reason in reasons.items() if reason)
        self._specs = tuple(spec for spec in catalog if not reasons[spec.id])

    def shortlist(self, request: str, k: int = 8) -> Shortlist:
        """The at most `k` checkpoints and `k` networks for a request.

        Raises:
            RequestError: The request is empty, too long, or `k` is below 1.
        """
        text = checked_request(request, k)
        understood = understand(text, self._terms, self.thresholds)
        words = self._words.scores(text)
        words = words / max(1e-6, float(words.max(initial=0.0))) * WORDS_SHARE
        evidence = self._evidence.scores(text)
        hits = [
            _checkpoint_hit(spec, understood, float(evidence[n]), float(words[n]))
            for n, spec in enumerate(self._specs)
            if spec.is_checkpoint
        ]
        order = {match: n for n, match in reversed(list(enumerate(understood.subjects)))}
        hits.sort(key=lambda hit: (min((order[match] for match in hit.matched), default=len(order)), -hit.score))
        hits = _one_version_each(hits)
        networks, unfit = self._networks(understood, evidence, words, [hit.spec for hit in hits[:k]])
        return Shortlist(
            request=text,
            hits=tuple(hits[:k]),
            networks=tuple(networks[:k]),
            excluded=(*self._excluded, *unfit),
            fits=any(hit.matched or not FAMILIES[hit.spec.family].closed_vocabulary for hit in hits),
            nearest=tuple(sorted(hits, key=lambda hit: -hit.score)[:NEAREST]),
        )

    def _networks(
        self,
        understood: Understanding,
        evidence: NDArray[np.float32],
        words: NDArray[np.float32],
        checkpoints: Sequence[ToolSpec],
    ) -> tuple[list[Hit], list[tuple[str, str]]]:
        """Networks best first, and those that load into none of the checkpoints."""
        asked = {match.term.spec_id: match for match in (*understood.places, *understood.styles)}
        hits: list[Hit] = []
        unfit: list[tuple[str, str]] = []
        for n, spec in enumerate(self._specs):
            if not spec.is_network or not checkpoints:
                continue
            verdicts = [compatible(spec, checkpoint) for checkpoint in checkpoints]
            match = asked.get(spec.id)
            if not any(verdict.ok for verdict in verdicts):
                unfit.append((spec.id, verdicts[0].reason))
            elif match is not None:
                hits.append(Hit(spec, match.similarity, (_why(match),), (match,)))
            else:
                hits.append(Hit(spec, float(min(evidence[n] + words[n], 1.0))))
        hits.sort(key=lambda hit: (-bool(hit.matched), -hit.score))
        return _one_version_each(hits), unfit

    @cached_property
    def _terms(self) -> TermIndex:
        return TermIndex.of(self._specs, self.embedder)

    @cached_property
    def _words(self) -> WordIndex:
        return WordIndex(self._specs)

    @cached_property
    def _evidence(self) -> _Evidence:
        return _Evidence(self._specs, self.embedder)


class _Evidence:
    """Texts that show what a spec is good for: its example prompts, its name with its tags, its description."""

    def __init__(self, specs: Sequence[ToolSpec], embedder: Embedder) -> None:
        texts: list[str] = []
        owners: list[int] = []
        for number, spec in enumerate(specs):
            own = [example.prompt for example in spec.examples]
            own += [f"{spec.model_name}: {', '.join(spec.tags[:20])}", spec.description]
            texts += [text for text in own if text]
            owners += [number] * sum(bool(text) for text in own)
        self._size = len(specs)
        self._owners = np.array(owners, dtype=np.intp)
        self._embedder = embedder
        self._vectors = embedder.embed(texts)

    def scores(self, request: str) -> NDArray[np.float32]:
        """The cosine of each spec's best text with the request, (specs,), at least 0."""
        scores = np.zeros(self._size, dtype=np.float32)
        if self._size:
            np.maximum.at(scores, self._owners, self._vectors @ self._embedder.embed([request])[0])
        return scores


def _one_version_each(hits: Sequence[Hit]) -> list[Hit]:
    """Of several versions of one model the first: they differ little, and take the places of other models."""
    first: dict[int, Hit] = {}
    for hit in hits:
        first.setdefault(hit.spec.model_id, hit)
    return list(first.values())


def _checkpoint_hit(spec: ToolSpec, understood: Understanding, evidence: float, words: float) -> Hit:
    best = understood.best.get(spec.id)
    closed = FAMILIES[spec.family].closed_vocabulary
    matched = tuple(match for match in understood.subjects if match.term.spec_id == spec.id)
    similarity = best.similarity if best else 0.0
    score = similarity if closed else max(similarity, evidence)
    if matched:
        places = [match for match in understood.places if match.term.spec_id == spec.id]
        why = tuple(_why(match) for match in (*matched, *places))
    elif score > similarity or best is None:
        why = (f"its examples or description are near ({score:.2f})",)
    else:
        why = (f"nearest word: {best.term.phrase!r} for {best.request_words!r} ({best.similarity:.2f})",)
    return Hit(spec, min(1.0, score + words), why, matched)


def _why(match: Match) -> str:
    asked = f" for {match.request_words!r} ({match.similarity:.2f})" if match.request_words != match.term.phrase else ""
    return f"knows {match.term.phrase!r}{asked}"


def checked_request(request: str, k: int) -> str:
    """The request, cleaned.

    Raises:
        RequestError: It is empty or too long, or `k` is below 1.
    """
    text = clean_text(request)
    if not any(character.isalnum() for character in text):
        msg = f"the request {request[:40]!r} holds no words; say what the picture should show"
        raise RequestError(msg)
    if len(text) > MAX_REQUEST:
        msg = f"the request has {len(text)} characters; say it in at most {MAX_REQUEST}"
        raise RequestError(msg)
    if k < 1:
        msg = f"a shortlist of {k} models was asked for; ask for at least 1"
        raise RequestError(msg)
    return text
