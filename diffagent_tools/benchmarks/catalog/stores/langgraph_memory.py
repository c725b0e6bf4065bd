"""langgraph's `InMemoryStore`, which langgraph-bigtool uses."""

from __future__ import annotations

from langgraph.store.memory import InMemoryStore

from diffagent_tools.benchmarks.catalog.stores.langgraph_store import LanggraphStore


class MemoryStore(LanggraphStore):
    """It keeps nothing on disk."""

    def build(self) -> None:
        """Fill it."""
        self.open()

    def open(self) -> None:
        """Fill it again."""
        self._store = InMemoryStore(index=self._index)
        self._fill()

    def close(self) -> None:
        """Let go of everything."""
        del self._store
