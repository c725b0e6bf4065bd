"""Requests, prompts and models as vectors of one space: near where people used the models for such requests."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Self

import numpy as np
from numpy.typing import NDArray

from tool_specs.ranking.texts import Terms, distinct

BLOCK: Final = 2000
"""Texts that are summed up at once (about 200 MB)."""


@dataclass(frozen=True, slots=True)
class Encoder:
    """A learned vector for each known term; a text is the sum of those of its different terms, scaled to length 1.

    It was trained on pairs of prompts that drew with the same model, and of prompts with the text of their model, so
    that words of one style or subject lie together. Terms that it does not know count for nothing.

    Attributes:
        terms: Known terms in rising order, (terms,).
        table: The vector of each, rounded, (terms, width).
        scales: What the rounded values of each are multiplied by, (terms,).
    """

    terms: Terms
    table: NDArray[np.int8]
    scales: NDArray[np.float32]

    @property
    def width(self) -> int:
        """Numbers in a vector."""
        return self.table.shape[1]

    def vectors(self, texts: Sequence[Terms]) -> NDArray[np.float32]:
        """The vector of each text, given as its terms, (texts, width); zeros where no term is known."""
        parts = [self._sums(texts[start : start + BLOCK]) for start in range(0, len(texts), BLOCK)]
        sums = np.concatenate([*parts, np.zeros((0, self.width), dtype=np.float32)])
        return sums / np.maximum(np.linalg.norm(sums, axis=1, keepdims=True), 1e-6)

    def save(self, path: Path) -> None:
        """Write it to a safetensors file."""
        from safetensors.numpy import save_file

        save_file({"terms": self.terms, "table": self.table, "scales": self.scales}, path)

    @classmethod
    def load(cls, path: Path) -> Self:
        """Read what `save` wrote."""
        from safetensors.numpy import load_file

        return cls(**load_file(path))

    def _sums(self, texts: Sequence[Terms]) -> NDArray[np.float32]:
        different = [distinct(terms) for terms in texts]
        every = np.concatenate(different)
        places = np.minimum(np.searchsorted(self.terms, every), len(self.terms) - 1)
        known = self.terms[places] == every
        owners = np.repeat(np.arange(len(texts)), [len(terms) for terms in different])[known]
        rows = self.table[places[known]] * self.scales[places[known], None]
        sums = np.zeros((len(texts), self.width), dtype=np.float32)
        present, starts = np.unique(owners, return_index=True)
        if len(present):
            sums[present] = np.add.reduceat(rows, starts, axis=0)
        return sums
