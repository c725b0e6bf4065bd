"""The index of a catalog as if it did not hold some of its evidence."""

from __future__ import annotations

import threading
from collections.abc import Collection, Iterable

import numpy as np

from tool_specs.ranking.documents import Prompt, prompt_segment
from tool_specs.ranking.index import CatalogIndex, examples_by_model, proven
from tool_specs.ranking.view import View
from tool_specs.ranking.weights import RankingWeights
from tool_specs.store.database import CatalogDatabase


class IndexWithout:
    """An index that shows less than the one it is made of; it follows the catalog's changes as that one does.

    Models that are left without evidence are known by their example prompts, as models that never had any. How rare a
    word is, is told by all evidence.

    Args:
        whole: The index of the catalog.
        numbers: Evidence that is left out, and examples (`index.example_number`).
    """

    def __init__(self, whole: CatalogIndex, numbers: Collection[int]) -> None:
        self._whole = whole
        self._numbers = frozenset(numbers)
        self._lock = threading.Lock()
        self._shown: tuple[View, View] | None = None

    @property
    def database(self) -> CatalogDatabase:
        """The catalog."""
        return self._whole.database

    @property
    def weights(self) -> RankingWeights:
        """Encoder and scorer."""
        return self._whole.weights

    def view(self) -> View:
        """The index as the catalog is now, less what is left out.

        Raises:
            CatalogError: The catalog cannot be read.
        """
        whole = self._whole.view()
        with self._lock:
            if self._shown is None or self._shown[0] is not whole:
                self._shown = whole, self._without(whole)
            return self._shown[1]

    def _without(self, whole: View) -> View:
        numbers = np.array(sorted(self._numbers), dtype=np.int64)
        encoder = self.weights.encoder
        left = whole.prompts.replaced(numbers, prompt_segment([], encoder))
        unproven = np.setdiff1d(proven(whole.prompts), proven(left)).tolist()
        examples = self._stand_ins(unproven)
        fresh = np.array([prompt.number for prompt in examples], dtype=np.int64)
        return View.of(left.replaced(fresh, prompt_segment(examples, encoder)), whole.models)

    def _stand_ins(self, model_ids: Iterable[int]) -> list[Prompt]:
        found = examples_by_model(self.database, model_ids)
        return [one for examples in found.values() for one in examples if one.number not in self._numbers]
