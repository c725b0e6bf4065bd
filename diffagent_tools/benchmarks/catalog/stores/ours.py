"""Our stored catalog with its search index."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from diffagent_tools.benchmarks.catalog.corpus import Entry
from diffagent_tools.benchmarks.catalog.stores.rows import CatalogRows
from tool_specs.naming import spec_id
from tool_specs.search.ranked import Query, RankedShortlister
from tool_specs.spec import ToolSpec
from tool_specs.store.catalog import StoredCatalog
from tool_specs.store.database import CatalogDatabase


class RankedCatalog(CatalogRows):
    """Rows, index and ranking, checkpoints and networks each; it makes its own vectors."""

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
        """Checkpoints and networks in turn, k in all."""
        (found,) = self._shortlister.answer([Query("", text)], k)
        return [spec_id(one.model_id, one.version_id) for one in found]

    def upsert(self, spec: Entry) -> None:
        """Store one spec anew; the index follows at the next search."""
        with self._database.transaction() as writing:
            writing.put_specs([ToolSpec.model_validate_json(spec.body)], origin="rows")

    def close(self) -> None:
        """Close the rows."""
        self._database.close()
