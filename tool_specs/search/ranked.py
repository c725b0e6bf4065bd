"""The shortlist over a stored catalog: real models, ranked by what people used them for and by what is written."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
from numpy.typing import NDArray

from tool_specs.compatibility import compatible
from tool_specs.exceptions import RequestError
from tool_specs.ranking.documents import CHECKPOINT, NETWORK
from tool_specs.ranking.features import Request
from tool_specs.ranking.index import CatalogIndex
from tool_specs.ranking.ranking import Ranking, rank
from tool_specs.ranking.texts import numbered
from tool_specs.ranking.view import View
from tool_specs.search.reasons import Reasons
from tool_specs.search.rules import Rules
from tool_specs.search.shortlist import Hit, Shortlist, checked_request
from tool_specs.spec import CHECKPOINT_TYPES, NETWORK_TYPES, ToolSpec
from tool_specs.store.catalog import StoredCatalog

FIT: Final = 0.5
"""How near the nearest prompt of a model must be for a request to be one that models draw.

Chosen on requests that the training pairs hold back, and on texts that ask for no picture; `make bench-shortlist`
reports false alarms and misses.
"""
NEAREST: Final = 3
MAX_EXCLUDED: Final = 100
"""Excluded models that a shortlist names."""
_KINDS: Final = {**dict.fromkeys(CHECKPOINT_TYPES, CHECKPOINT), **dict.fromkeys(NETWORK_TYPES, NETWORK)}


@dataclass(frozen=True, slots=True)
class Query:
    """One question of many.

    Attributes:
        id: What the answer is to be called.
        text: The request.
        type: A model type; networks of any type answer for each of them. None for all.
        base_model: As Civitai spells it; None for all.
    """

    id: str
    text: str
    type: str | None = None
    base_model: str | None = None

    @property
    def kinds(self) -> tuple[int, ...]:
        """The kinds of model that answer it.

        Raises:
            RequestError: The type draws nothing.
        """
        if self.type is None:
            return CHECKPOINT, NETWORK
        if (kind := _KINDS.get(self.type)) is None:
            msg = f"query {self.id!r}: the type {self.type!r} draws nothing; write one of {', '.join(sorted(_KINDS))}"
            raise RequestError(msg)
        return (kind,)


@dataclass(frozen=True, slots=True)
class Found:
    """A model that answers a query.

    Attributes:
        model_id: The model.
        version_id: Its newest version, of the base model that was asked for.
        score: Probability among the models of its kind.
        why: Reasons, each a few words.
    """

    model_id: int
    version_id: int
    score: float
    why: tuple[str, ...]


class RankedShortlister:
    """Finds models in a stored catalog.

    Args:
        catalog: Where to look.
        rules: What may be offered.
        index: The catalog's search index, where there is one already.
    """

    def __init__(
        self, catalog: StoredCatalog, *, rules: Rules | None = None, index: CatalogIndex | None = None
    ) -> None:
        self.catalog = catalog
        self.index = index or CatalogIndex(catalog.database)
        on_disk = frozenset(file.spec_id for file in catalog.database.local_files() if file.spec_id)
        self.rules = replace(rules or Rules(), on_disk=on_disk)

    def shortlist(self, request: str, k: int = 8) -> Shortlist:
        """The at most `k` checkpoints and `k` networks that suit a request and pass the rules.

        Raises:
            RequestError: The request is empty, too long, or `k` is below 1.
        """
        text = checked_request(request, k)
        view = self.index.view()
        everything = np.ones(len(view.models), dtype=bool)
        checkpoints = self._ranked(view, text, CHECKPOINT, everything)
        networks = self._ranked(view, text, NETWORK, everything)
        excluded: dict[str, str] = {}
        hits = self._hits(view, text, checkpoints, k, excluded, beside=())
        chosen = [hit.spec for hit in hits]
        return Shortlist(
            request=text,
            hits=tuple(hits),
            networks=tuple(self._hits(view, text, networks, k, excluded, beside=chosen)) if chosen else (),
            excluded=tuple(excluded.items())[:MAX_EXCLUDED],
            fits=bool(hits) and suits(checkpoints),
            nearest=tuple(hits[:NEAREST]),
        )

    def answer(self, queries: Sequence[Query], k: int) -> list[list[Found]]:
        """The at most `k` models for each query, best first; the rules are not asked.

        This is for measuring and for browsing: models that may not be offered are found as well.

        Raises:
            RequestError: A query asks for a type that draws nothing, or `k` is below 1.
        """
        if k < 1:
            msg = f"{k} models a query were asked for; ask for at least 1"
            raise RequestError(msg)
        view = self.index.view()
        requests = Request.read([query.text for query in queries], self.index.weights.encoder)
        found: list[list[Found]] = [[] for _ in queries]
        for kind, base_model, places in _batches(queries):
            allowed = np.ones(len(view.models), dtype=bool)
            if base_model is not None:
                allowed = view.rows_with(int(numbered([base_model])[0]))
            rankings = rank(view, self.index.weights.scorer, [requests[n] for n in places], kind, allowed)
            for n, ranking in zip(places, rankings, strict=True):
                found[n] += self._found(view, ranking, base_model, k)
        return [sorted(hits, key=lambda hit: -hit.score)[:k] for hits in found]

    def _ranked(self, view: View, text: str, kind: int, allowed: NDArray[np.bool_]) -> Ranking:
        requests = Request.read([text], self.index.weights.encoder)
        return rank(view, self.index.weights.scorer, requests, kind, allowed)[0]

    def _found(self, view: View, ranking: Ranking, base_model: str | None, k: int) -> Iterator[Found]:
        versions = view.models.column("version")
        for place, row in enumerate(ranking.rows[:k]):
            model_id, version_id = int(view.models.ids[row]), int(versions[row])
            if base_model is not None:
                version_id = self._version_for(model_id, base_model) or version_id
            yield Found(model_id, version_id, float(ranking.scores[place]), Reasons.brief(ranking, place))

    def _version_for(self, model_id: int, base_model: str) -> int | None:
        database = self.catalog.database
        versions = database.specs(database.ids_of_model(model_id)).values()
        return next((spec.version_id for spec in versions if spec.base_model == base_model), None)

    def _hits(
        self, view: View, text: str, ranking: Ranking, k: int, excluded: dict[str, str], *, beside: Sequence[ToolSpec]
    ) -> list[Hit]:
        """The best models with a version that may be offered, and that loads into one of the checkpoints beside it."""
        database = self.catalog.database
        hits: list[Hit] = []
        for place, row in enumerate(ranking.rows):
            if len(hits) == k:
                break
            versions = database.specs(database.ids_of_model(int(view.models.ids[row])))
            reasons = {spec.id: self._reason_against(spec, beside) for spec in versions.values()}
            usable = next((spec for spec in versions.values() if not reasons[spec.id]), None)
            if usable is None:
                excluded |= reasons
                continue
            why = Reasons(view, database, ranking, place).of(usable, text)
            hits.append(Hit(usable, float(ranking.scores[place]), why))
        return hits

    def _reason_against(self, spec: ToolSpec, beside: Sequence[ToolSpec]) -> str:
        if reason := self.rules.reason_against(spec):
            return reason
        verdicts = [compatible(spec, checkpoint) for checkpoint in beside]
        return "" if not verdicts or any(verdict.ok for verdict in verdicts) else verdicts[0].reason


def suits(ranking: Ranking) -> bool:
    """Whether a request is one that some model of the ranking was used for, or is written for."""
    if not len(ranking.rows):
        return False
    return float(ranking.feature("request_meaning")[0]) >= FIT


def _batches(queries: Sequence[Query]) -> Iterator[tuple[int, str | None, list[int]]]:
    """Queries that can be answered together: of one kind and base model."""
    places: dict[tuple[int, str | None], list[int]] = defaultdict(list)
    for n, query in enumerate(queries):
        for kind in query.kinds:
            places[kind, query.base_model].append(n)
    for (kind, base_model), numbers in places.items():
        yield kind, base_model, numbers
