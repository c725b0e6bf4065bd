"""The shortlist over a stored catalog: real models, ranked by what people used them for and by what is written."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import zip_longest
from typing import Final

import numpy as np
from numpy.typing import NDArray

from tool_specs.compatibility import compatible
from tool_specs.exceptions import RequestError
from tool_specs.naming import model_id_of
from tool_specs.ranking.documents import CHECKPOINT, KINDS, NETWORK
from tool_specs.ranking.features import Request
from tool_specs.ranking.index import CatalogIndex
from tool_specs.ranking.ranking import Ranking, rank
from tool_specs.ranking.texts import numbered
from tool_specs.ranking.view import View
from tool_specs.ranking.without import IndexWithout
from tool_specs.rules import Rules
from tool_specs.search.reasons import brief_reasons, reasons_for
from tool_specs.search.shortlist import Hit, Shortlist, checked_request
from tool_specs.spec import ToolSpec
from tool_specs.store.catalog import StoredCatalog

ORDINARY: Final = 2.83
PER_CHECKPOINT: Final = 0.48
PER_NETWORK: Final = 0.22
"""A request fits where `rarity <= ORDINARY + PER_CHECKPOINT * lead + PER_NETWORK * lead`.

Rarity is how rare its words are in what people ask for (the feature `request_rarity`); each lead is how far the best
checkpoint, or the best network, is ahead of the middle candidate, in nats. So what is asked in usual words fits
anyway, and what is asked in rare ones fits where models stand out by them. `python -m finetune.ranking.calibrate`
chose the numbers on prompts that the training pairs hold back, short plain requests, and texts that ask for no
picture; `make bench-shortlist` reports misses and false alarms on others.
"""
MIN_PROMPTS: Final = 5000
"""Fewer prompts show too little of what people ask for: all requests fit."""
NEAREST: Final = 3


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
        if (kind := KINDS.get(self.type)) is None:
            msg = f"query {self.id!r}: the type {self.type!r} draws nothing; write one of {', '.join(sorted(KINDS))}"
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
        index: The catalog's search index, where there is one already, or a part of it.
    """

    def __init__(
        self, catalog: StoredCatalog, *, rules: Rules | None = None, index: CatalogIndex | IndexWithout | None = None
    ) -> None:
        self.catalog = catalog
        self.index: CatalogIndex | IndexWithout = index or CatalogIndex(catalog.database)
        on_disk = frozenset(file.spec_id for file in catalog.database.local_files() if file.spec_id)
        self.rules = replace(rules or Rules(), on_disk=on_disk)

    def shortlist(self, request: str, k: int = 8, *, explain: bool = False) -> Shortlist:
        """The at most `k` checkpoints and `k` networks that suit a request and pass the rules.

        Args:
            request: What the picture should show.
            k: Most models of each kind.
            explain: Whether to name the models that would be on the list but for the rules.

        Raises:
            RequestError: The request is empty, too long, or `k` is below 1.
        """
        text = checked_request(request, k)
        view = self.index.view()
        requests = Request.read([text], self.index.weights.encoder)
        kinds = [view.kind == CHECKPOINT, view.kind == NETWORK]
        offered = self.offered(view)
        choices = [kind & offered for kind in kinds] + (kinds if explain else [])
        checkpoints, networks, *everything = rank(view, self.index.weights.scorer, requests, choices)[0]
        hits = self._hits(view, text, checkpoints, k, beside=())
        chosen = [hit.spec for hit in hits]
        return Shortlist(
            request=text,
            hits=tuple(hits),
            networks=tuple(self._hits(view, text, networks, k, beside=chosen)) if chosen else (),
            excluded=tuple(
                one
                for ranking, beside in zip(everything, ((), chosen), strict=False)
                for one in self._kept_out(view, ranking, k, beside=beside)
            ),
            fits=bool(hits) and suits(view, checkpoints, networks),
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
        for (kinds, base_model), places in _batches(queries).items():
            allowed = np.ones(len(view.models), dtype=bool)
            if base_model is not None:
                allowed = view.rows_with(int(numbered([base_model])[0]))
            choices = [(view.kind == kind) & allowed for kind in kinds]
            rankings = rank(view, self.index.weights.scorer, [requests[n] for n in places], choices)
            for n, answers in zip(places, rankings, strict=True):
                found[n] = self._mixed([list(self._found(view, ranking, base_model, k)) for ranking in answers])
        return [hits[:k] for hits in found]

    @staticmethod
    def _mixed(lists: Sequence[Sequence[Found]]) -> list[Found]:
        """Answers of several kinds in turn: scores of different kinds cannot be compared."""
        return [hit for hits in zip_longest(*lists) for hit in hits if hit is not None]

    def _found(self, view: View, ranking: Ranking, base_model: str | None, k: int) -> Iterator[Found]:
        versions = view.models.column("version")
        for place, row in enumerate(ranking.rows[:k]):
            model_id, version_id = int(view.models.ids[row]), int(versions[row])
            if base_model is not None:
                version_id = self._version_for(model_id, base_model) or version_id
            yield Found(model_id, version_id, float(ranking.scores[place]), brief_reasons(ranking, place))

    def _version_for(self, model_id: int, base_model: str) -> int | None:
        versions = self.catalog.database.versions([model_id])[model_id]
        return next((spec.version_id for spec in versions if spec.base_model == base_model), None)

    def offered(self, view: View) -> NDArray[np.bool_]:
        """Rows with a version that the rules allow, as far as the index knows, (models,)."""
        if (bit := self.rules.offer) is None:
            return np.ones(len(view.models), dtype=bool)
        on_disk = [model_id_of(spec_id) for spec_id in self.rules.on_disk]
        allowed = (view.models.column("offers").astype(np.uint8) >> np.uint8(bit)) & np.uint8(1)
        return (allowed > 0) | np.isin(view.models.ids, on_disk)

    def _hits(self, view: View, text: str, ranking: Ranking, k: int, *, beside: Sequence[ToolSpec]) -> list[Hit]:
        """The best models with a version that may be offered, and that loads into one of the checkpoints beside it."""
        database = self.catalog.database
        chosen: dict[int, ToolSpec] = {}
        model_ids = view.models.ids[ranking.rows].tolist()
        for start in range(0, len(model_ids), k):
            if len(chosen) == k:
                break
            batch = database.versions_one_by_one(model_ids[start : start + k])
            for place, versions in enumerate(batch.values(), start):
                if len(chosen) == k:
                    break
                usable = next((spec for spec in versions if not self._reason_against(spec, beside)), None)
                if usable is not None:
                    chosen[place] = usable
        why = reasons_for(view, database, ranking, chosen, text)
        return [Hit(spec, float(ranking.scores[place]), why[place]) for place, spec in chosen.items()]

    def _kept_out(
        self, view: View, ranking: Ranking, k: int, *, beside: Sequence[ToolSpec]
    ) -> Iterator[tuple[str, str]]:
        """Of the best models, whether they may be offered or not, those that may not, with the reason."""
        for versions in self.catalog.database.versions(view.models.ids[ranking.rows[:k]].tolist()).values():
            reasons = [(spec.id, self._reason_against(spec, beside)) for spec in versions]
            if all(reason for _, reason in reasons):
                yield from reasons

    def _reason_against(self, spec: ToolSpec, beside: Sequence[ToolSpec]) -> str:
        if reason := self.rules.reason_against(spec):
            return reason
        verdicts = [compatible(spec, checkpoint) for checkpoint in beside]
        return "" if not verdicts or any(verdict.ok for verdict in verdicts) else verdicts[0].reason


def suits(view: View, checkpoints: Ranking, networks: Ranking) -> bool:
    """Whether a request is one for a picture that models can draw.

    Args:
        view: The index.
        checkpoints: All checkpoints, ranked for the request.
        networks: All networks.
    """
    if not len(checkpoints.rows) or checkpoints.feature("request_words")[0] == 0:
        return False
    if len(view.prompts) < MIN_PROMPTS:
        return True
    most = ORDINARY + PER_CHECKPOINT * lead_of(checkpoints) + PER_NETWORK * lead_of(networks)
    return float(checkpoints.feature("request_rarity")[0]) <= most


def lead_of(ranking: Ranking) -> float:
    """How far the best candidate is ahead of the middle one, in nats; 0 where there are none."""
    if not len(ranking.rows):
        return 0.0
    return float(np.log(ranking.scores[0]) - np.log(max(np.median(ranking.scores), np.finfo(np.float32).tiny)))


def _batches(queries: Sequence[Query]) -> dict[tuple[tuple[int, ...], str | None], list[int]]:
    """Places of queries that can be answered together, by kinds and base model."""
    places: dict[tuple[tuple[int, ...], str | None], list[int]] = defaultdict(list)
    for n, query in enumerate(queries):
        places[query.kinds, query.base_model].append(n)
    return places
