"""Directions that lie together as those of embedded texts do."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

DIMENSIONS: Final = 384
"""As MiniLM has."""

Vectors = NDArray[np.float32]


def directions(source: np.random.Generator, count: int) -> Vectors:
    """(count, DIMENSIONS) unit vectors that have nothing to do with each other."""
    return _unit(source.standard_normal((count, DIMENSIONS), dtype=np.float32))


def near(source: np.random.Generator, centers: Vectors, cosine: float) -> Vectors:
    """A unit vector for each unit vector, with about this cosine to it."""
    return _unit(cosine * centers + np.sqrt(1 - cosine**2, dtype=np.float32) * directions(source, len(centers)))


def _unit(vectors: Vectors) -> Vectors:
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)
