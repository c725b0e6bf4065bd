"""Our stored catalog with its search index."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from diffagent_tools.benchmarks.catalog.corpus import Entry
from diffagent_tools.benchmarks.catalog.stores.rows import CatalogRows
from tool_specs.search.ranked import RankedShortlister
from tool_specs.spec import ToolSpec
from tool_specs.store.catalog import StoredCatalog
from tool_specs.store.database import CatalogDatabase


class RankedCatalog(CatalogRows):
    """What `diffagent search` does: rows, index, ranking, rules and reasons; it makes its own vectors."""

    def build(self) -> None:
        """Store the rows and index them."""
        super().build()
        self.open()
        self._shortlister.index.view()
        self.close()

    def open(self) -> None:
        """Open rows and index."""
        self._database = CatalogDatabase.open(self._folder)
        self._shortlister = RankedShortlister(StoredCatalog(self._database))

    def search(self, text: str, vector: NDArray[np.float32], k: int) -> list[str]:  # noqa: ARG002 - the protocol's
        """The shortlist: k checkpoints and k networks, the best of both first."""
        shortlist = self._shortlister.shortlist(text, k)
        hits = sorted((*shortlist.hits, *shortlist.networks), key=lambda hit: -hit.score)
        return [hit.spec.id for hit in hits]

    def upsert(self, spec: Entry) -> None:
        """Store one spec anew; the index follows at the next search."""
        with self._database.transaction() as writing:
            writing.put_specs([ToolSpec.model_validate_json(spec.body)], origin="rows")

    def close(self) -> None:
        """Close the rows."""
        self._database.close()
