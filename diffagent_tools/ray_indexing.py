"""The catalog's search index, made on every core of a Ray cluster by the functions that make it in one process."""

from __future__ import annotations

import pickle
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from tool_specs.ranking.segments import Segment

if TYPE_CHECKING:
    from tool_specs.ranking.encoder import Encoder
    from tool_specs.ranking.index import Indexing

BLOCK = 5000
"""Documents of a task: enough to be worth the way there and back."""


def indexed_on_ray(indexing: Indexing, documents: Sequence[Any], encoder: Encoder) -> Segment:
    """Index documents through Ray Data: `CatalogIndex(database, indexed=indexed_on_ray)`.

    What fits into one block is indexed here: most changes of a catalog are small.

    Args:
        indexing: `model_segment` or `prompt_segment`.
        documents: What it takes.
        encoder: Gives the vectors.

    Raises:
        ConfigError: Ray is not installed, or the cluster cannot be reached.
    """
    if len(documents) <= BLOCK:
        return indexing(documents, encoder)
    from diffagent_tools.backends.ray.cluster import chosen_ray_address, connect

    connect(chosen_ray_address())
    import ray

    ray.data.DataContext.get_current().enable_progress_bars = False
    kept = ray.put(encoder)

    # Only what this process sent comes back, so that unpickling is safe.
    def index(row: dict[str, Any]) -> dict[str, Any]:
        segment = indexing(pickle.loads(row["documents"]), ray.get(kept))  # noqa: S301
        return {"start": row["start"], "segment": pickle.dumps(segment)}

    blocks = [
        {"start": start, "documents": pickle.dumps(documents[start : start + BLOCK])}
        for start in range(0, len(documents), BLOCK)
    ]
    rows = ray.data.from_items(blocks, override_num_blocks=len(blocks)).map(index, num_cpus=1).take_all()
    rows.sort(key=lambda row: row["start"])
    parts = [pickle.loads(row["segment"]) for row in rows]  # noqa: S301
    return Segment.joined([(part, np.ones(len(part), dtype=bool)) for part in parts])
