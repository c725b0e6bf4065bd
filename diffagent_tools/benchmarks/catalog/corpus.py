"""What is measured on: specs, evidence and queries with their vectors, in files that every store reads alike."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final, Literal

import numpy as np
from numpy.typing import NDArray

from diffagent_tools.benchmarks.catalog.vectors import DIMENSIONS, Vectors

Kind = Literal["specs", "evidence", "queries", "changes"]
BATCH: Final = 500
"""Entries that are read at once, so that reading adds little to the memory of a store."""


@dataclass(frozen=True, slots=True)
class Line:
    """What the text file says of an entry; its vector lies in another file.

    Attributes:
        id: The spec: itself for a spec, the one that drew it for evidence, the one to be found for a query.
        text: What is searched, or asked for.
        body: The whole spec as JSON, empty for evidence and queries.
    """

    id: str
    text: str
    body: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry(Line):
    """A line with its vector."""

    vector: NDArray[np.float32]


class Corpus:
    """The files in a folder.

    Attributes:
        specs: How many there are; likewise `evidence`.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.specs = self._count("specs")
        self.evidence = self._count("evidence")

    @property
    def searched(self) -> tuple[Kind, ...]:
        """The kinds of entries that are searched: the specs, and the evidence if there is any."""
        return ("specs", "evidence") if self.evidence else ("specs",)

    def batches(self, kind: Kind) -> Iterator[list[Entry]]:
        """The entries of a kind, `BATCH` at a time."""
        with self._lines(kind).open(encoding="utf-8") as lines, self._vectors(kind).open("rb") as numbers:
            while (vectors := np.fromfile(numbers, np.float32, BATCH * DIMENSIONS).reshape(-1, DIMENSIONS)).size:
                yield [Entry(**json.loads(next(lines)), vector=vector) for vector in vectors]

    def queries(self) -> list[Entry]:
        """What to search for."""
        return [entry for batch in self.batches("queries") for entry in batch]

    def changes(self) -> list[Entry]:
        """Specs of the corpus with another text, which begins with a word that no other spec has."""
        return [entry for batch in self.batches("changes") for entry in batch]

    def write(self, kind: Kind, lines: Iterable[Line], vectors: Vectors) -> None:
        """Write the entries of a kind."""
        with self._lines(kind).open("w", encoding="utf-8") as file:
            file.writelines(json.dumps(asdict(line)) + "\n" for line in lines)
        vectors.tofile(self._vectors(kind))

    def _count(self, kind: Kind) -> int:
        file = self._vectors(kind)
        return file.stat().st_size // (4 * DIMENSIONS) if file.exists() else 0

    def _lines(self, kind: Kind) -> Path:
        return self._folder / f"{kind}.jsonl"

    def _vectors(self, kind: Kind) -> Path:
        return self._folder / f"{kind}.f32"
