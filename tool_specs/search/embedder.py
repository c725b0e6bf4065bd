"""What search needs of an embedding model."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray


@runtime_checkable
class Embedder(Protocol):
    """Turns texts into directions: texts that mean the same point the same way."""

    @property
    def name(self) -> str:
        """Which model it is; two embedders of one name give the same vectors."""
        ...

    def embed(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Embed texts.

        Args:
            texts: Any number of texts; none gives an array of shape (0, d).

        Returns:
            (n, d) float32, each row of length 1, so that a dot product is the cosine.
        """
        ...
