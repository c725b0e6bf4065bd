"""The catalog on disk as everything that picks and draws sees it: specs by name."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Iterator
from typing import Final

from tool_specs.catalog import AnyCatalog
from tool_specs.nearest import SpecName
from tool_specs.spec import ToolSpec
from tool_specs.store.database import CatalogDatabase

MAX_RECENT: Final = 1024
"""Specs kept in memory."""


class StoredCatalog(AnyCatalog):
    """The specs of a database, read when asked for; what another process commits is seen at the next question.

    Args:
        database: An open one; closing it is the caller's business.
    """

    def __init__(self, database: CatalogDatabase) -> None:
        self.database = database
        self._lock = threading.Lock()
        self._recent: OrderedDict[str, ToolSpec] = OrderedDict()
        self._recent_version = -1

    def __iter__(self) -> Iterator[ToolSpec]:
        return self.database.all_specs()

    def __len__(self) -> int:
        return self.database.count().specs

    def __contains__(self, spec_id: object) -> bool:
        return isinstance(spec_id, str) and self._spec(spec_id) is not None

    def specs(self, *, type: str | None = None, family: str | None = None) -> tuple[ToolSpec, ...]:  # noqa: A002
        """The specs of a model type and a family, in the order in which they were first stored.

        They are all held in memory: iterate over `database.all_specs` instead where that is too much.
        """
        return tuple(self.database.all_specs(type=type, family=family))

    def _spec(self, spec_id: str) -> ToolSpec | None:
        if not spec_id.isascii():
            # No id is like that, and SQLite takes no text that is not UTF-8.
            return None
        version = self.database.version
        with self._lock:
            if version != self._recent_version:
                self._recent.clear()
                self._recent_version = version
            if spec_id in self._recent:
                self._recent.move_to_end(spec_id)
                return self._recent[spec_id]
        spec = self.database.spec(spec_id)
        with self._lock:
            # Another thread may have seen a newer version of the catalog meanwhile.
            if spec is not None and version == self._recent_version:
                self._recent[spec_id] = spec
                if len(self._recent) > MAX_RECENT:
                    self._recent.popitem(last=False)
        return spec

    def _version(self, model_id: int, version_id: int | None) -> ToolSpec | None:
        ids = self.database.ids_of_model(model_id)
        spec_id = next((one for one in ids if version_id is None or one.endswith(f"@{version_id}")), None)
        return None if spec_id is None else self._spec(spec_id)

    def _names(self) -> Iterator[SpecName]:
        return self.database.names()
