"""Models in the order in which they suit a request."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tool_specs.ranking.features import NAMES, Evaluation, Request, evaluate
from tool_specs.ranking.scorer import Scorer
from tool_specs.ranking.view import Scores, View


@dataclass(frozen=True, slots=True)
class Ranking:
    """The candidates for a request, best first.

    Attributes:
        rows: Rows of the view, (candidates,).
        scores: The probability that each is what people drew such a request with, among the candidates, (candidates,).
        features: What speaks for each, (candidates, features).
        evaluation: What they were ranked by.
    """

    rows: NDArray[np.int64]
    scores: Scores
    features: Scores
    evaluation: Evaluation

    def feature(self, name: str) -> Scores:
        """One feature of each candidate, (candidates,)."""
        return self.features[:, NAMES[name]]


def rank(
    view: View, scorer: Scorer, requests: Sequence[Request], choices: Sequence[NDArray[np.bool_]]
) -> list[tuple[Ranking, ...]]:
    """Rank models for each request.

    Args:
        view: The index.
        scorer: What weighs the features.
        requests: The requests.
        choices: Rows that compete with one another (models of one kind), a mask each, (models,).

    Returns:
        For each request a ranking of each choice.
    """
    return [
        tuple(_ranked(evaluation, scorer) for evaluation in evaluations)
        for evaluations in evaluate(view, requests, choices)
    ]


def _ranked(evaluation: Evaluation, scorer: Scorer) -> Ranking:
    scores = scorer.scores(evaluation.features)
    order = np.argsort(-scores, kind="stable")
    odds = np.exp(scores - scores.max(initial=-np.inf)) if len(scores) else scores
    return Ranking(
        rows=evaluation.rows[order],
        scores=(odds / odds.sum())[order] if len(odds) else odds,
        features=evaluation.features[order],
        evaluation=evaluation,
    )
