"""LanceDB: a table of rows, words and vectors; hybrid search with its own reciprocal rank fusion."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import lancedb
import numpy as np
import pyarrow as pa
from lancedb.index import FTS, BTree, HnswSq
from lancedb.rerankers import RRFReranker
from numpy.typing import NDArray

from diffagent_tools.benchmarks.catalog.corpus import Corpus, Entry
from diffagent_tools.benchmarks.catalog.fusion import DEPTH, fused
from diffagent_tools.benchmarks.catalog.vectors import DIMENSIONS
from tool_specs.store.bodies import packed

SCHEMA = pa.schema(
    [
        pa.field("id", pa.string()),
        pa.field("text", pa.string()),
        pa.field("body", pa.binary()),
        pa.field("vector", pa.list_(pa.float32(), DIMENSIONS)),
    ]
)


class LanceStore:
    """Two tables, of specs and of evidence, each with a full-text index and an HNSW index of its vectors.

    HNSW, because IVF-PQ finds two in five of the nearest ten here, and is no faster once it refines them.
    """

    def __init__(self, folder: Path, corpus: Corpus) -> None:
        self._folder = folder
        self._corpus = corpus

    def build(self) -> None:
        """Store everything and index it."""
        database = lancedb.connect(self._folder)
        for kind in self._corpus.searched:
            table = database.create_table(kind, data=_arrow(self._corpus.batches(kind)), schema=SCHEMA)
            table.create_index("id", config=BTree())
            table.create_index("text", config=FTS())
            table.create_index("vector", config=HnswSq(distance_type="cosine"))

    def open(self) -> None:
        """Open the tables."""
        database = lancedb.connect(self._folder)
        self._tables = [database.open_table(kind) for kind in self._corpus.searched]

    def search(self, text: str, vector: NDArray[np.float32], k: int) -> list[str]:
        """Hybrid search in each table."""
        return fused((_ranking(table, text, vector) for table in self._tables), k)

    def upsert(self, spec: Entry) -> None:
        """Merge one row."""
        merging = self._tables[0].merge_insert("id").when_matched_update_all().when_not_matched_insert_all()
        merging.execute(next(_arrow(iter([[spec]]))))

    def close(self) -> None:
        """Let go of the tables."""
        del self._tables


def _ranking(table: lancedb.Table, text: str, vector: NDArray[np.float32]) -> list[str]:
    query = table.search(query_type="hybrid").vector(vector).text(text).rerank(RRFReranker())
    return query.limit(DEPTH).select(["id"]).to_arrow()["id"].to_pylist()


def _arrow(batches: Iterator[list[Entry]]) -> Iterator[pa.RecordBatch]:
    for batch in batches:
        vectors = pa.array(np.stack([entry.vector for entry in batch]).ravel())
        columns = [
            pa.array([entry.id for entry in batch]),
            pa.array([entry.text for entry in batch]),
            pa.array([packed(entry.body.encode()) for entry in batch]),
            pa.FixedSizeListArray.from_arrays(vectors, DIMENSIONS),
        ]
        yield pa.RecordBatch.from_arrays(columns, schema=SCHEMA)
