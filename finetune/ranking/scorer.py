"""Training of the scorer: which of the candidates for a request drew it, told from their features."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from finetune.ranking.data import Corpus, Fold
from tool_specs.ranking.documents import CHECKPOINT, NETWORK, model_segment, prompt_segment
from tool_specs.ranking.encoder import Encoder
from tool_specs.ranking.features import FEATURES, Request, evaluate
from tool_specs.ranking.scorer import MAX_DEVIATIONS, Scorer
from tool_specs.ranking.segments import Collection
from tool_specs.ranking.view import View

BLOCK = 64
APART = -1e4


@dataclass(frozen=True, slots=True)
class ScorerRecipe:
    """How the scorer is trained."""

    hidden: tuple[int, ...] = (64, 32)
    epochs: int = 10
    rate: float = 2e-3
    decay: float = 1e-4
    batch: int = 48
    """Questions in a step."""
    unseen_share: float = 0.45
    """Weight of a request for a model without evidence, beside one for a model that has some."""
    balance: float = 0.7
    """How far rare models count as much as frequent ones: weight = uses ** -balance."""


@dataclass(frozen=True, slots=True)
class Question:
    """A request with its candidates of one kind, at least one of them right.

    Attributes:
        features: (candidates, features).
        right: Whether the model drew it, (candidates,).
        weight: How much it counts.
    """

    features: NDArray[np.float32]
    right: NDArray[np.bool_]
    weight: float


def questions_of(corpus: Corpus, fold: Fold, encoder: Encoder, recipe: ScorerRecipe) -> list[Question]:
    """Search for the requests of a fold in its evidence, with the very functions that serve.

    Args:
        corpus: Models and prompts.
        fold: What is evidence and what is asked.
        encoder: Trained on the fold's evidence alone.
        recipe: Settings.
    """
    prompts = Collection.of(prompt_segment([corpus.prompts[n] for n in fold.evidence], encoder))
    models = Collection.of(model_segment(corpus.models, encoder))
    view = View.of(prompts, models)
    kinds = dict(zip(models.ids.tolist(), view.kind.tolist(), strict=True))
    questions: list[tuple[Question, list[int]]] = []
    for places, unseen in ((fold.seen, False), (fold.unseen, True)):
        for block in _blocks(np.array(places, dtype=np.int64), BLOCK):
            requests = Request.read([corpus.prompts[n].text for n in block], encoder)
            evaluations = evaluate(view, requests, [view.kind == kind for kind in (CHECKPOINT, NETWORK)])
            for n, answers in zip(block, evaluations, strict=True):
                for kind, found in zip((CHECKPOINT, NETWORK), answers, strict=True):
                    drew = [one for one in corpus.prompts[n].model_ids if kinds.get(one) == kind]
                    gold = [one for one in drew if not unseen or one in fold.unseen_models]
                    ids = models.ids[found.rows]
                    right = np.isin(ids, gold)
                    counts = right | ~np.isin(ids, drew)
                    if right.any():
                        share = recipe.unseen_share if unseen else 1.0
                        questions.append((Question(found.features[counts], right[counts], share), gold))
    uses = Counter(model for _, gold in questions for model in gold)
    return [
        Question(
            one.features, one.right, one.weight * float(np.mean([uses[model] ** -recipe.balance for model in gold]))
        )
        for one, gold in questions
    ]


def save_questions(questions: Sequence[Question], path: Path) -> None:
    """Write questions to a file that appears whole or not at all."""
    draft = path.with_suffix(".draft.npz")
    np.savez(
        draft,
        features=np.concatenate([one.features for one in questions]),
        right=np.concatenate([one.right for one in questions]),
        sizes=np.array([len(one.right) for one in questions]),
        weights=np.array([one.weight for one in questions], dtype=np.float32),
    )
    draft.rename(path)


def load_questions(path: Path) -> list[Question]:
    """Read what `save_questions` wrote."""
    with np.load(path, allow_pickle=False) as file:
        ends = np.cumsum(file["sizes"])[:-1]
        features, right = np.split(file["features"], ends), np.split(file["right"], ends)
        return [Question(*one) for one in zip(features, right, file["weights"].tolist(), strict=True)]


def train_scorer(questions: Sequence[Question], recipe: ScorerRecipe, *, seed: int = 0) -> Scorer:
    """Fit the network: the softmax over the candidates of a question gives the right ones a high probability."""
    torch.manual_seed(seed)
    table = np.concatenate([question.features for question in questions])
    means, deviations = table.mean(axis=0), table.std(axis=0) + 1e-6
    widths = (len(FEATURES), *recipe.hidden)
    layers: list[torch.nn.Module] = []
    for inputs, outputs in itertools.pairwise(widths):
        layers += [torch.nn.Linear(inputs, outputs), torch.nn.ReLU()]
    network = torch.nn.Sequential(*layers, torch.nn.Linear(widths[-1], 1))
    optimizer = torch.optim.AdamW(network.parameters(), lr=recipe.rate, weight_decay=recipe.decay)
    steps = recipe.epochs * (len(questions) // recipe.batch + 1)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, recipe.rate, total_steps=steps)
    generator = np.random.default_rng(seed)
    for _ in range(recipe.epochs):
        for block in _blocks(generator.permutation(len(questions)), recipe.batch):
            asked = [questions[n] for n in block]
            features = np.concatenate([one.features for one in asked])
            features = np.clip((features - means) / deviations, -MAX_DEVIATIONS, MAX_DEVIATIONS)
            scores = network(torch.from_numpy(features.astype(np.float32)))[:, 0]
            loss = _loss(scores, asked)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
    linear = [layer for layer in network if isinstance(layer, torch.nn.Linear)]
    return Scorer(
        means.astype(np.float32),
        deviations.astype(np.float32),
        [(layer.weight.detach().numpy().T.copy(), layer.bias.detach().numpy().copy()) for layer in linear],
    )


def _loss(scores: torch.Tensor, asked: Sequence[Question]) -> torch.Tensor:
    sizes = [len(one.right) for one in asked]
    rows = torch.repeat_interleave(torch.arange(len(asked)), torch.tensor(sizes))
    columns = torch.cat([torch.arange(size) for size in sizes])
    padded = torch.full((len(asked), max(sizes)), APART).index_put((rows, columns), scores)
    right = torch.from_numpy(np.concatenate([one.right for one in asked]))
    wrong = torch.ones_like(padded, dtype=torch.bool).index_put((rows, columns), ~right)
    weights = torch.tensor([one.weight for one in asked])
    losses = torch.logsumexp(padded, 1) - torch.logsumexp(padded.masked_fill(wrong, APART), 1)
    return (losses * weights).sum() / weights.sum()


def _blocks(order: NDArray[np.int64], size: int) -> Iterator[NDArray[np.int64]]:
    for start in range(0, len(order), size):
        yield order[start : start + size]
