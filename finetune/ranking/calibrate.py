"""Choose when nothing fits: `python -m finetune.ranking.calibrate --models FILE --pairs FILE`.

It prints the three numbers of `tool_specs.search.ranked` by which a request fits, for the weights that ship. They are
chosen on prompts that folds of the training pairs hold back, on short plain requests, and on texts that ask for no
picture; of the last two every second one is left to `make bench-shortlist`.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import numpy as np
import scipy.optimize
from numpy.typing import NDArray

from diffagent_tools.benchmarks.shortlist.fitting import TEXTS
from finetune.ranking.data import Corpus, fold_of, read_corpus
from tool_specs.ranking.documents import CHECKPOINT, NETWORK, model_segment, prompt_segment
from tool_specs.ranking.features import Request
from tool_specs.ranking.ranking import rank
from tool_specs.ranking.segments import Collection
from tool_specs.ranking.view import View
from tool_specs.ranking.weights import RankingWeights, shipped_weights
from tool_specs.search.ranked import lead_of

MISSES: Final = 0.025
"""Share of the requests that may be turned away."""
FOLDS: Final = (11, 12)
"""Seeds of the folds; others than those of the training."""
REQUESTS: Final = 500
"""Requests of each fold whose models have evidence, and as many of models that have none."""
BLOCK: Final = 64
_PENALTY: Final = 0.01

Signs = NDArray[np.float64]
"""Of each text the rarity of its words, and the leads of the best checkpoint and the best network, (texts, 3)."""


def signs_of(view: View, weights: RankingWeights, texts: Sequence[str]) -> Signs:
    """What a request is judged by."""
    choices = [view.kind == CHECKPOINT, view.kind == NETWORK]
    signs = []
    for start in range(0, len(texts), BLOCK):
        requests = Request.read(texts[start : start + BLOCK], weights.encoder)
        for checkpoints, networks in rank(view, weights.scorer, requests, choices):
            rarity = float(checkpoints.feature("request_rarity")[0])
            signs.append((rarity, lead_of(checkpoints), lead_of(networks)))
    return np.array(signs)


def calibrated(requests: Sequence[Signs], others: Signs) -> tuple[float, float, float]:
    """How rare words may be, and how much each lead adds to it.

    A logistic regression finds how the signs weigh; what is required is then lowered until few requests are missed.

    Args:
        requests: Groups of requests that count the same.
        others: Texts that ought not to fit.
    """
    groups = [*requests, others]
    table = np.concatenate(groups)
    weights = np.concatenate(
        [np.full(len(group), (1 if group is others else 1 / len(requests)) / len(group)) for group in groups]
    )
    right = np.repeat([1.0] * len(requests) + [0.0], [len(group) for group in groups])
    means, deviations = table.mean(axis=0), table.std(axis=0)
    scaled = (table - means) / deviations

    def loss(slopes: NDArray[np.float64]) -> float:
        odds = scaled @ slopes[1:] + slopes[0]
        return float((weights * (np.logaddexp(0, odds) - right * odds)).sum() + _PENALTY * (slopes[1:] ** 2).sum())

    slopes = scipy.optimize.minimize(loss, np.zeros(4)).x[1:] / deviations
    per_checkpoint, per_network = slopes[1:] / -slopes[0]
    excess = [group @ np.array([1, -per_checkpoint, -per_network]) for group in requests]
    return float(np.quantile(np.concatenate(excess), 1 - MISSES)), float(per_checkpoint), float(per_network)


def held_back(corpus: Corpus, weights: RankingWeights) -> list[Signs]:
    """Requests of the folds, searched in the evidence that they leave: of known models, and of unseen ones."""
    models = Collection.of(model_segment(corpus.models, weights.encoder))
    seen: list[Signs] = []
    unseen: list[Signs] = []
    for seed in FOLDS:
        fold = fold_of(corpus, seed)
        evidence = prompt_segment([corpus.prompts[n] for n in fold.evidence], weights.encoder)
        view = View.of(Collection.of(evidence), models)
        choice = np.random.default_rng(seed)
        for places, found in ((fold.seen, seen), (fold.unseen, unseen)):
            chosen = choice.permutation(np.array(places))[:REQUESTS]
            found.append(signs_of(view, weights, [corpus.prompts[n].text for n in chosen]))
    return [np.concatenate(seen), np.concatenate(unseen)]


def main(arguments: Sequence[str] | None = None) -> None:
    """Print the numbers."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", type=Path, required=True, help="models: an API dump, or a line for each version")
    parser.add_argument("--pairs", type=Path, required=True, help="training pairs, a line each")
    given = parser.parse_args(arguments)
    corpus, weights = read_corpus(given.models, given.pairs), shipped_weights()
    view = View.of(
        Collection.of(prompt_segment(corpus.prompts, weights.encoder)),
        Collection.of(model_segment(corpus.models, weights.encoder)),
    )
    plain = json.loads((TEXTS / "plain_requests.json").read_text(encoding="utf-8"))[::2]
    others = json.loads((TEXTS / "no_requests.json").read_text(encoding="utf-8"))
    tuned = [text for texts in others.values() for text in texts[::2]]
    requests = [*held_back(corpus, weights), signs_of(view, weights, plain)]
    ordinary, per_checkpoint, per_network = calibrated(requests, signs_of(view, weights, tuned))
    print(f"ORDINARY = {ordinary:.2f}, PER_CHECKPOINT = {per_checkpoint:.2f}, PER_NETWORK = {per_network:.2f}")  # noqa: T201


if __name__ == "__main__":
    main()
