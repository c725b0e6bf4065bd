"""Simple methods to find a model: popularity, words and meaning of what is written, and the nearest prompt."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Final, Self

import numpy as np
from numpy.typing import NDArray

from diffagent_tools.benchmarks.shortlist.scoring import DEPTH
from diffagent_tools.embeddings import MiniLMEmbedder
from tool_specs.ranking.documents import Described, text_of
from tool_specs.ranking.postings import Postings, rarity
from tool_specs.ranking.texts import distinct, numbered, words
from tool_specs.ranking.view import Pool
from tool_specs.store.database import CatalogDatabase

Scores = NDArray[np.float32]
Rival = Callable[[str], Scores]
"""Scores all models for a request."""
Track = Callable[[list[str]], Iterable[str]]
"""Passes texts on and shows how far they have come."""
BLOCK: Final = 64
"""Texts that are embedded, and remembered, at once."""


@dataclass(frozen=True, slots=True)
class Material:
    """What the methods know.

    Attributes:
        models: The versions of each model.
        prompts: The evidence.
        pool: Prompts by place of the model.
    """

    models: Sequence[Sequence[Described]]
    prompts: Sequence[str]
    pool: Pool

    @classmethod
    def of(cls, database: CatalogDatabase) -> Self:
        """Read a catalog."""
        versions: dict[int, list[Described]] = defaultdict(list)
        for spec in database.all_specs():
            versions[spec.model_id].append(Described.of(spec))
        places = {model_id: place for place, model_id in enumerate(versions)}
        prompts = list(database.evidence_changes(0, database.version))
        uses = [
            (n, places[use.model_id]) for n, one in enumerate(prompts) for use in one.uses if use.model_id in places
        ]
        pairs = np.array(uses, dtype=np.int64).reshape(-1, 2)
        pool = Pool.of(pairs[:, 0], pairs[:, 1], len(places))
        return cls(list(versions.values()), [one.text for one in prompts], pool)

    def ranked(self, scores: Scores, kind: int) -> list[int]:
        """Ids of the best models of a kind."""
        rows = np.array([row for row, versions in enumerate(self.models) if versions[0].kind == kind])
        best = rows[np.argsort(-scores[rows], kind="stable")[:DEPTH]]
        return [self.models[row][0].model_id for row in best]


def popularity(material: Material) -> Rival:
    """What most prompts were drawn with, whatever is asked for; downloads say less."""
    scores = material.pool.counts.astype(np.float32)
    return lambda _: scores


def word_search(material: Material) -> Rival:
    """BM25 over name, tags, trigger words and description."""
    return bm25([text_of(versions).words for versions in material.models])


def nearest_prompt(material: Material) -> Rival:
    """BM25 over the words of the prompts; the best prompt of a model counts."""
    search = bm25([words(prompt) for prompt in material.prompts])
    return lambda text: material.pool.maxima(search(text))


def meaning_search(material: Material, texts: Sequence[str], track: Track) -> Rival:
    """Cosines of MiniLM vectors of the request and of name, tags, trigger words and description.

    Args:
        material: The models.
        texts: All requests that will come.
        track: Shows progress.
    """
    embedder = MiniLMEmbedder()
    written = [_text(versions) for versions in material.models]
    every = [*written, *dict.fromkeys(texts)]
    blocks = {block[0]: block for block in (every[n : n + BLOCK] for n in range(0, len(every), BLOCK))}
    vectors = np.concatenate([embedder.embed(blocks[first]) for first in track(list(blocks))])
    models, requests = vectors[: len(written)], vectors[len(written) :]
    places = {text: place for place, text in enumerate(every[len(written) :])}
    return lambda text: models @ requests[places[text]]


def _text(versions: Sequence[Described]) -> str:
    longest = max((version.description for version in versions), key=len)
    first = versions[0]
    parts = (first.name, ", ".join(first.tags), ", ".join(first.triggers), longest)
    return ". ".join(part for part in parts if part)


def bm25(documents: Sequence[list[str]]) -> Rival:
    """BM25 of a request with each document, given as its words."""
    mean = float(np.mean([len(document) for document in documents]))
    postings = Postings.of([numbered(document) for document in documents], mean_length=mean)

    def scores(text: str) -> Scores:
        terms = distinct(numbered(words(text)))
        often = postings.frequencies(terms)
        weights = rarity(often, len(documents))
        found = np.zeros(len(documents), dtype=np.float32)
        postings.add_scores(terms, weights, found)
        return found

    return scores
