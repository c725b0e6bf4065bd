"""Training of the encoder: a vector for each term, so that prompts of one model lie together, and near its text.

Contrastive: of 512 models two prompts each, which should be nearer to each other than to the other prompts, and of 768
models a prompt and the model's text. The vectors start as those of all-MiniLM-L6-v2 for the term alone (a static
distillation), projected to their principal components, plus noise that tells apart terms of one meaning.
"""

from __future__ import annotations

import random
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from diffagent_tools.embeddings import MiniLMEmbedder
from finetune.ranking.data import Corpus
from tool_specs.ranking.documents import text_of
from tool_specs.ranking.encoder import Encoder
from tool_specs.ranking.postings import rarity
from tool_specs.ranking.texts import distinct, grams, numbered, words

DROPOUT = 0.3
APART = -1e4
SAMPLE = 8000
"""Vectors that principal components are taken from."""


@dataclass(frozen=True, slots=True)
class EncoderRecipe:
    """How the encoder is trained."""

    width: int = 384
    """Numbers in a vector while it is trained."""
    kept: int = 128
    """Numbers that are kept of it: the principal components of the prompts' vectors."""
    min_prompts: int = 4
    """Prompts that must hold a term."""
    min_models: int = 2
    """Models that must hold a word in name or tags, for words of no prompt."""
    steps: int = 320
    rate: float = 7e-4
    prompt_models: int = 512
    text_models: int = 768
    text_share: float = 0.5
    """Weight of the texts beside the prompts."""


def train_encoder(corpus: Corpus, evidence: Sequence[int], recipe: EncoderRecipe, *, seed: int = 0) -> Encoder:
    """Train on some of the prompts.

    Args:
        corpus: Models and prompts.
        evidence: Places of the prompts that may be used.
        recipe: Settings.
        seed: Of everything random.
    """
    torch.manual_seed(seed)
    generator = random.Random(seed)  # noqa: S311 - training, not a secret
    prompts = [corpus.prompts[n] for n in evidence]
    groups = corpus.groups[list(evidence)]
    tokens = [grams(words(prompt.text)) for prompt in prompts]
    vocabulary, weights = _vocabulary(tokens, corpus, recipe)
    table = torch.nn.Parameter(_start(vocabulary, recipe.width, seed))
    places = {model[0].model_id: n for n, model in enumerate(corpus.models)}
    prompt_bags = _Bags.of(tokens, vocabulary, weights)
    text_bags = _Bags.of([text_of(model).grams for model in corpus.models], vocabulary, weights)
    owners = [[places[one] for one in prompt.model_ids if one in places] for prompt in prompts]
    uses: dict[int, list[int]] = defaultdict(list)
    for n, models in enumerate(owners):
        for model in models:
            uses[model].append(n)
    several = [model for model, mine in uses.items() if len({int(groups[n]) for n in mine}) > 1]
    kinds = np.array([model[0].kind for model in corpus.models])
    scales = [torch.nn.Parameter(torch.tensor(3.0)), torch.nn.Parameter(torch.tensor(2.5))]
    optimizer = torch.optim.Adam([{"params": [table], "lr": recipe.rate}, {"params": scales, "lr": 5e-4}])
    for _ in range(recipe.steps):
        pairs = [_pair(uses[model], groups, generator) for model in _some(several, recipe.prompt_models, generator)]
        chosen = np.array(pairs).ravel()
        vectors = prompt_bags.vectors(chosen, table)
        loss = _contrast(
            scales[0].exp() * vectors @ vectors.T,
            positive=_shared([owners[n] for n in chosen], [owners[n] for n in chosen]),
            ignored=torch.from_numpy(groups[chosen][:, None] == groups[chosen][None]),
        )
        named = np.array(_some(list(uses), recipe.text_models, generator))
        drawn = np.array([generator.choice(uses[model]) for model in named])
        loss = loss + recipe.text_share * _contrast(
            scales[1].exp() * prompt_bags.vectors(drawn, table) @ text_bags.vectors(named, table).T,
            positive=_shared([owners[n] for n in drawn], [[model] for model in named]),
            ignored=torch.from_numpy(kinds[named][:, None] != kinds[named][None]),
        )
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    trained = table.detach().numpy() * weights[:, None]
    return _rounded(vocabulary, trained @ _axes(prompt_bags, table, recipe.kept))


@dataclass(frozen=True, slots=True)
class _Bags:
    """The known terms of texts with their weights, scaled to length 1 in each text."""

    terms: list[NDArray[np.int64]]
    weights: list[NDArray[np.float32]]

    @classmethod
    def of(cls, texts: Sequence[Sequence[str]], vocabulary: dict[str, int], weights: NDArray[np.float32]) -> _Bags:
        terms = [np.array(sorted({vocabulary[t] for t in text if t in vocabulary}), dtype=np.int64) for text in texts]
        return cls(terms, [weights[own] / max(float(np.linalg.norm(weights[own])), 1e-6) for own in terms])

    def vectors(self, texts: NDArray[np.int64], table: Tensor, *, dropout: float = DROPOUT) -> Tensor:
        """Unit vectors of texts, a part of their terms left out."""
        lengths = [len(self.terms[n]) for n in texts]
        terms = torch.from_numpy(np.concatenate([self.terms[n] for n in texts]))
        weights = torch.from_numpy(np.concatenate([self.weights[n] for n in texts]))
        weights = weights * (torch.rand(len(weights)) >= dropout)
        offsets = torch.from_numpy(np.cumsum([0, *lengths[:-1]]))
        bags = functional.embedding_bag(terms, table, offsets, mode="sum", per_sample_weights=weights)
        return functional.normalize(bags, dim=1)


def _vocabulary(
    tokens: Sequence[Sequence[str]], corpus: Corpus, recipe: EncoderRecipe
) -> tuple[dict[str, int], NDArray[np.float32]]:
    """Terms that are worth a vector, and how rare each is in the prompts."""
    often = Counter(token for text in tokens for token in set(text))
    said = Counter(
        word
        for model in corpus.models
        for word in {word for version in model for text in (version.name, *version.tags) for word in words(text)}
    )
    chosen = [token for token, count in often.items() if count >= recipe.min_prompts]
    chosen += [word for word, count in said.items() if count >= recipe.min_models and often[word] < recipe.min_prompts]
    counts = np.array([often[token] for token in chosen])
    return {token: n for n, token in enumerate(chosen)}, rarity(counts, len(tokens))


def _start(vocabulary: dict[str, int], width: int, seed: int) -> Tensor:
    """Vectors to begin with, half meaning and half noise, (terms, width)."""
    texts = [token.replace("_", " ") for token in vocabulary]
    meanings = MiniLMEmbedder().embed(texts)
    meanings = meanings - meanings.mean(axis=0)
    generator = np.random.default_rng(seed)
    sample = meanings[generator.permutation(len(meanings))[:SAMPLE]]
    _, _, axes = np.linalg.svd(sample, full_matrices=False)
    projected = meanings @ axes[:width].T
    projected = projected / np.maximum(np.linalg.norm(projected, axis=1, keepdims=True), 1e-6)
    noise = generator.normal(size=projected.shape) / np.sqrt(width)
    return torch.tensor(0.5 * projected + 0.5 * noise, dtype=torch.float32)


def _some(models: list[int], number: int, generator: random.Random) -> list[int]:
    return generator.sample(models, min(number, len(models)))


def _pair(prompts: Sequence[int], groups: NDArray[np.int64], generator: random.Random) -> tuple[int, int]:
    """Two prompts of a model that are no near-duplicates."""
    first = generator.choice(prompts)
    others = [n for n in prompts if groups[n] != groups[first]]
    return first, generator.choice(others)


def _shared(rows: Sequence[Sequence[int]], columns: Sequence[Sequence[int]]) -> Tensor:
    """Which rows and columns have a model in common."""
    by_model: dict[int, list[int]] = defaultdict(list)
    for n, models in enumerate(columns):
        for model in models:
            by_model[model].append(n)
    shared = torch.zeros((len(rows), len(columns)), dtype=torch.bool)
    for n, models in enumerate(rows):
        shared[n, [column for model in models for column in by_model[model]]] = True
    return shared


def _contrast(logits: Tensor, *, positive: Tensor, ignored: Tensor) -> Tensor:
    """Mean negative log of the probability of the positives; a positive that is ignored counts for nothing."""
    logits = logits.masked_fill(ignored, APART)
    positive = positive & ~ignored
    losses = torch.logsumexp(logits, 1) - torch.logsumexp(logits.masked_fill(~positive, APART), 1)
    return losses[positive.any(1)].mean()


def _axes(bags: _Bags, table: Tensor, number: int) -> NDArray[np.float32]:
    """The directions in which the prompts differ most, (width, number)."""
    some = np.arange(min(len(bags.terms), SAMPLE))
    with torch.no_grad():
        vectors = bags.vectors(some, table, dropout=0.0).numpy()
    return np.linalg.svd(vectors, full_matrices=False)[2][:number].T


def _rounded(vocabulary: dict[str, int], table: NDArray[np.float32]) -> Encoder:
    """The vectors in eight bits each, by rising term; of terms with one number the first."""
    terms = numbered(vocabulary)
    order = np.unique(terms, return_index=True)[1]
    scales = np.maximum(np.abs(table[order]).max(axis=1), 1e-6) / 127
    rounded = np.round(table[order] / scales[:, None]).astype(np.int8)
    return Encoder(distinct(terms), rounded, scales.astype(np.float32))
