"""What every store is asked to do."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from diffagent_tools.benchmarks.catalog.corpus import Corpus, Entry


class Built(Protocol):
    """A store that can be filled."""

    def __init__(self, folder: Path, corpus: Corpus) -> None:
        """Nothing is opened yet.

        Args:
            folder: Where to keep everything; it is there, and empty before `build`.
            corpus: What to fill it with.
        """
        ...

    def build(self) -> None:
        """Store all specs and evidence of the corpus, make every index, and close."""
        ...


class Searched(Built, Protocol):
    """A store that can be filled, opened in another process, searched, and changed."""

    def open(self) -> None:
        """Open what `build` left; a store that keeps nothing on disk is filled from the corpus again."""
        ...

    def search(self, text: str, vector: NDArray[np.float32], k: int) -> list[str]:
        """The ids of the k best specs for a request, the best first.

        The words and the vector are compared with those of the specs and of the evidence, each as far as the store can,
        and the rankings fused.
        """
        ...

    def upsert(self, spec: Entry) -> None:
        """Store one spec anew, so that the next search sees it."""
        ...

    def close(self) -> None:
        """Close it."""
        ...
