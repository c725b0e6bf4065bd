"""What speaks for each model that may suit a request, as numbers that the scorer weighs."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import Final, Self

import numpy as np
from numpy.typing import NDArray

from tool_specs.ranking.encoder import Encoder
from tool_specs.ranking.postings import rarity
from tool_specs.ranking.segments import Collection
from tool_specs.ranking.texts import Terms, distinct, grams, numbered, phrases, pieces, words
from tool_specs.ranking.view import Scores, View

FEATURES: Final = (
    "prompt_words", "prompt_words_share", "prompt_words_rank", "prompt_meaning", "prompt_meaning_share",
    "prompt_meaning_rank", "prompt_posterior", "prompt_second", "prompt_phrases", "prompts", "has_prompts",
    "creator_meaning", "creator_prompts", "text_rare", "text_rare_share", "text_words", "name_rare", "text_meaning",
    "text_meaning_share", "name_pieces", "popularity", "is_checkpoint", "is_embedding", "request_words",
    "request_known", "request_meaning", "request_text", "request_rarity",
)  # fmt: skip
"""Names of the features, in order.

`prompt_…` compares with the prompts a model was used for (the best of them), `creator_…` with those of its creator,
`text_…` and `name_…` with what is written about it; `…_share` is the part of the best model's value, `…_rank` the log
of the place; `request_…` are the same for all models.
"""

NAMES: Final = {name: n for n, name in enumerate(FEATURES)}
TEMPERATURE: Final = 0.04
RARE: Final = 30
"""A word that fewer prompts hold may be part of a name."""
LONG: Final = 3
"""Letters; only longer words are compared by their pieces."""
_CANDIDATES: Final = (
    ("prompt_words", 60), ("prompt_meaning", 80), ("creator_meaning", 60), ("text_rare", 80), ("text_meaning", 60),
    ("name_rare", 30), ("name_pieces", 20),
)  # fmt: skip
"""How many of the best models by a feature are looked at closely."""
_FINISHED: Final[dict[str, Callable[[Scores], Scores]]] = {
    "prompt_posterior": lambda odds: np.log(odds + np.float32(1e-5)),
    "prompt_second": lambda sums: np.maximum(sums, 0) ** np.float32(1 / 6),
}
"""What is done to candidates alone, because it takes time."""
_SHARED: Final = ("prompt_words", "prompt_meaning", "text_rare", "text_meaning")
"""Features that are also given as a part of the best model's."""


@dataclass(frozen=True, slots=True)
class Request:
    """A request as terms and as a vector."""

    text: str
    words: list[str]
    grams: Terms
    phrases: Terms
    vector: Scores

    @classmethod
    def read(cls, texts: Sequence[str], encoder: Encoder) -> list[Request]:
        """Read requests; their vectors are made together."""
        found = [words(text) for text in texts]
        terms = [numbered(grams(one)) for one in found]
        vectors = encoder.vectors(terms)
        return [
            cls(text, one, distinct(own), distinct(numbered(phrases(text))), vector)
            for text, one, own, vector in zip(texts, found, terms, vectors, strict=True)
        ]


@dataclass(frozen=True, slots=True)
class Evaluation:
    """The candidates for a request and their features.

    Attributes:
        rows: Candidate rows, (candidates,).
        features: (candidates, features), in the order of `FEATURES`.
        prompt_cosines: Of each prompt with the request, (prompts,).
    """

    rows: NDArray[np.int64]
    features: Scores
    prompt_cosines: Scores


def evaluate(
    view: View, requests: Sequence[Request], choices: Sequence[NDArray[np.bool_]]
) -> list[tuple[Evaluation, ...]]:
    """Find candidates for requests, and what speaks for each.

    Args:
        view: The index.
        requests: The requests; vectors are compared for all of them at once.
        choices: Rows that compete with one another (models of one kind), a mask each, (models,).

    Returns:
        For each request an evaluation of each choice.
    """
    vectors = np.stack([request.vector for request in requests])
    rows = [np.flatnonzero(choice) for choice in choices]
    # Almost all of the work is done by numpy without the interpreter's lock, so threads share it.
    with ThreadPoolExecutor(max_workers=os.cpu_count() or 1) as pool:
        prompt_cosines = pool.submit(view.prompts.cosines, vectors)
        text_cosines = view.models.cosines(vectors)
        texts = pool.map(partial(_text_features, view), requests, text_cosines)
        said = pool.map(partial(_said_features, view), requests)
        meant = pool.map(partial(_meant_features, view), prompt_cosines.result())
        asked = map(partial(_Asked.of, view), requests)
        found = zip(asked, prompt_cosines.result(), texts, said, meant, strict=True)
        compared = [
            [pool.submit(_compared, view, own, one, cosines, {**text, **words, **meaning}) for own in rows]
            for one, cosines, text, words, meaning in found
        ]
        return [tuple(one.result() for one in evaluations) for evaluations in compared]


@dataclass(frozen=True, slots=True)
class _Asked:
    """What is the same for all models: the number of words, the weight of the known terms, how rare the words are."""

    words: int
    known: float
    rarity: float

    @classmethod
    def of(cls, view: View, request: Request) -> Self:
        known = _idf(view.prompts, "grams", request.grams, known_only=True)
        rare = _rarity(view, numbered(request.words))
        return cls(len(request.words), float(known.sum()), float(rare.mean()) if len(rare) else 0.0)


def _compared(
    view: View, rows: NDArray[np.int64], asked: _Asked, cosines: Scores, whole: dict[str, Scores]
) -> Evaluation:
    mine = {name: whole[name][rows] for name, _ in _CANDIDATES}
    chosen = _candidates(mine)
    own = rows[chosen]
    peaks = {name: max(float(mine[name].max(initial=0.0)), 1e-6) for name in _SHARED}
    table = np.zeros((len(chosen), len(FEATURES)), dtype=np.float32)

    def put(name: str, values: NDArray[np.generic] | float) -> None:
        table[:, NAMES[name]] = values

    for name, values in whole.items():
        put(name, _FINISHED[name](values[own]) if name in _FINISHED else values[own])
    for name, peak in peaks.items():
        put(f"{name}_share", mine[name][chosen] / peak)
    for name in ("prompt_words", "prompt_meaning"):
        put(f"{name}_rank", _log_ranks(mine[name], chosen))
    put("prompts", np.log1p(view.count[own]))
    put("has_prompts", view.count[own] > 0)
    put("creator_prompts", np.log1p(view.creator_count[own]))
    put("popularity", view.popularity[own])
    put("is_checkpoint", view.kind[own] == 0)
    put("is_embedding", view.embedding[own])
    put("request_words", np.log1p(asked.words))
    put("request_known", peaks["prompt_words"] / (asked.known + 1e-6))
    put("request_meaning", peaks["prompt_meaning"])
    put("request_text", peaks["text_rare"])
    put("request_rarity", asked.rarity)
    return Evaluation(own, table, cosines)


def _meant_features(view: View, cosines: Scores) -> dict[str, Scores]:
    """How near the prompts of every row come."""
    if not view.prompts.alive.all():
        cosines = np.where(view.prompts.alive, cosines, np.float32(-1))
    near = np.maximum(cosines, 0)
    best = view.by_model.maxima(near)
    odds = np.exp((cosines - cosines.max(initial=-1.0)) / TEMPERATURE)
    each = (max(float(odds.sum()), 1e-6) * np.sqrt(view.count + 1)).astype(np.float32)
    return {
        "prompt_meaning": best,
        "prompt_posterior": view.by_model.totals(odds) / each,
        "prompt_second": view.by_model.totals(_sixth(near)) - _sixth(best),
        "creator_meaning": np.where(view.creator_count > 0, view.by_creator.maxima(near)[view.creator], 0),
    }


def _said_features(view: View, request: Request) -> dict[str, Scores]:
    """Which words the prompts of every row share with the request."""
    prompts = view.prompts
    said = prompts.scores("grams", request.grams, _idf(prompts, "grams", request.grams))
    phrased = prompts.scores("phrases", request.phrases, _idf(prompts, "phrases", request.phrases))
    return {"prompt_words": view.by_model.maxima(said), "prompt_phrases": view.by_model.maxima(phrased)}


def _text_features(view: View, request: Request, cosines: Scores) -> dict[str, Scores]:
    """What is written about every row."""
    models = view.models
    terms = distinct(numbered(request.words))
    rare = _rarity(view, terms) / _rarest(view)
    idf, named = _idf(models, "text", terms), _idf(models, "name", terms)
    rare_words = [word for word, often in _frequencies(view, request.words) if often < RARE and len(word) > LONG]
    parts = distinct(numbered(pieces(rare_words)))
    return {
        "text_words": models.scores("text", terms, idf),
        "text_rare": models.scores("text", terms, idf * rare),
        "name_rare": models.scores("name", terms, named * rare),
        "name_pieces": models.scores("pieces", parts, _idf(models, "pieces", parts)),
        "text_meaning": cosines,
    }


def _sixth(values: Scores) -> Scores:
    """The sixth power, by which a sum is ruled by its largest parts."""
    squares = values * values
    return squares * squares * squares


def _candidates(whole: dict[str, Scores]) -> NDArray[np.intp]:
    """Places of the best by each of several features, rising."""
    chosen = []
    for name, number in _CANDIDATES:
        values = whole[name]
        places = np.argpartition(-values, number)[:number] if len(values) > number else np.arange(len(values))
        chosen.append(places)
    return np.unique(np.concatenate(chosen))


def _log_ranks(values: Scores, chosen: NDArray[np.intp]) -> Scores:
    """Log of one more than how many have a higher value, for the chosen ones."""
    positive = np.sort(values[values > 0])
    return np.log1p(len(positive) - np.searchsorted(positive, values[chosen], side="right")).astype(np.float32)


def _idf(documents: Collection, field: str, terms: Terms, *, known_only: bool = False) -> Scores:
    """How rare terms are in a field, (terms,)."""
    often = documents.frequencies(field, terms)
    if known_only:
        often = often[often > 0]
    return rarity(often, len(documents))


def _rarest(view: View) -> float:
    """The rarity of a word that no prompt holds."""
    return float(np.log1p(max(len(view.prompts) - 0.5, 0.5) / 1.5)) + 0.7


def _rarity(view: View, terms: Terms) -> Scores:
    """How rare words are in what people ask for, (terms,)."""
    often = view.prompts.frequencies("grams", terms)
    return np.where(often > 0, rarity(often, len(view.prompts)), np.float32(_rarest(view)))


def _frequencies(view: View, found: Sequence[str]) -> list[tuple[str, int]]:
    """Different words, and how many prompts hold each."""
    different = list(dict.fromkeys(found))
    return list(zip(different, view.prompts.frequencies("grams", numbered(different)).tolist(), strict=True))
