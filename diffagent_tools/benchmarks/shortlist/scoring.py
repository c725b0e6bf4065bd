"""How good ranked models are: reciprocal rank and recall, macro over the models that were to be found."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from diffagent_tools.benchmarks.shortlist.splits import Asked

DEPTH: Final = 50
"""Ranks that count."""
CUTS: Final = (1, 10, 50)
"""Ranks up to which recall is taken."""


@dataclass(frozen=True, slots=True)
class Figures:
    """How good the answers to some requests are.

    Attributes:
        mrr: Mean reciprocal rank of the best-ranked model that drew the request; each such model counts the same.
        recall: Share of requests with it at rank 1, up to 10 and up to 50; likewise.
        micro_mrr: Mean reciprocal rank; each request counts the same.
    """

    mrr: float
    recall: tuple[float, ...]
    micro_mrr: float


def figures(asked: Sequence[Asked], found: Sequence[Sequence[int]]) -> Figures:
    """Score answers.

    A request belongs to the model that drew it and was ranked best, or to the one with the lowest id where none was
    found.

    Args:
        asked: The requests, at least one.
        found: The ids of the models found for each, best first.
    """
    by_model: dict[int, list[list[float]]] = defaultdict(list)
    for one, ids in zip(asked, found, strict=True):
        ranks = {model: rank for rank, model in enumerate(dict.fromkeys(ids[:DEPTH]), 1)}
        best = min(one.gold, key=lambda model: (ranks.get(model, DEPTH + 1), model))
        rank = ranks.get(best, np.inf)
        by_model[best].append([1 / rank, *(float(rank <= cut) for cut in CUTS)])
    mrr, *recall = np.mean([np.mean(rows, axis=0) for rows in by_model.values()], axis=0).tolist()
    return Figures(mrr, tuple(recall), float(np.mean([row[0] for rows in by_model.values() for row in rows])))
