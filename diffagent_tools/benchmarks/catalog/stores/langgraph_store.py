"""What langgraph's stores have in common: items with a text, found by the vector of the text."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from langchain_core.embeddings import Embeddings
from langgraph.store.base import BaseStore, IndexConfig, PutOp
from numpy.typing import NDArray

from diffagent_tools.benchmarks.catalog.corpus import Corpus, Entry, Kind
from diffagent_tools.benchmarks.catalog.fusion import DEPTH, fused
from diffagent_tools.benchmarks.catalog.vectors import DIMENSIONS


class PreparedVectors(Embeddings):
    """An embedding model that takes no time: it is told the vectors of the texts that it is about to be given."""

    def __init__(self) -> None:
        self.coming: dict[str, NDArray[np.float32]] = {}

    def embed_documents(self, texts: list[str]) -> list[list[float]]:
        """The vectors, as lists of Python floats like those of every langchain embedding model."""
        return [self.coming[text].tolist() for text in texts]

    def embed_query(self, text: str) -> list[float]:
        """The vector of one text."""
        return self.coming[text].tolist()


class LanggraphStore:
    """One of langgraph's stores, filled as langgraph-bigtool fills it: a description for each tool, no more.

    The stores know nothing of words, so that the vectors alone are compared. `_store` is set by `open`.
    """

    _store: BaseStore

    def __init__(self, folder: Path, corpus: Corpus) -> None:
        self._folder = folder
        self._corpus = corpus
        self._vectors = PreparedVectors()
        self._index = IndexConfig(dims=DIMENSIONS, embed=self._vectors)

    def search(self, text: str, vector: NDArray[np.float32], k: int) -> list[str]:
        """A search among the specs and one among the evidence."""
        self._vectors.coming = {text: vector}
        found = [self._store.search((kind,), query=text, limit=DEPTH) for kind in self._corpus.searched]
        return fused(([item.value["id"] for item in items] for items in found), k)

    def upsert(self, spec: Entry) -> None:
        """Put one item."""
        self._put("specs", [(spec.id, spec)])

    def _fill(self) -> None:
        for kind in self._corpus.searched:
            for number, batch in enumerate(self._corpus.batches(kind)):
                keys = (entry.id if kind == "specs" else f"{number}.{place}" for place, entry in enumerate(batch))
                self._put(kind, list(zip(keys, batch, strict=True)))

    def _put(self, kind: Kind, items: list[tuple[str, Entry]]) -> None:
        self._vectors.coming = {entry.text: entry.vector for _, entry in items}
        self._store.batch(
            [PutOp((kind,), key, {"text": entry.text, "id": entry.id}, index=["text"]) for key, entry in items]
        )
