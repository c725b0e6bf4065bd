"""Documents that can be searched, in one large part and a small one for what changed since."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Final, Self

import numpy as np
from numpy.typing import NDArray

from tool_specs.ranking.postings import Postings
from tool_specs.ranking.texts import Terms

Columns = Mapping[str, NDArray[np.generic]]

_NAMES: Final = "arrays.json"


@dataclass(frozen=True)
class Segment:
    """Documents and what is indexed of them; never changed once made.

    Attributes:
        columns: Values of each document by name; `id` is always there, the others are the owner's, (documents, ...).
        fields: What of the documents can be searched by words.
        link_documents: Links from documents to numbers (models, base models): the document, (links,).
        link_values: The number, (links,).
    """

    columns: Columns
    fields: Mapping[str, Postings]
    link_documents: NDArray[np.int64]
    link_values: NDArray[np.int64]

    @property
    def ids(self) -> NDArray[np.int64]:
        """The id of each document, (documents,)."""
        return self.columns["id"].astype(np.int64, copy=False)

    def __len__(self) -> int:
        return len(self.columns["id"])

    @classmethod
    def joined(cls, parts: Sequence[tuple[Self, NDArray[np.bool_]]]) -> Self:
        """Several segments as one, of each the documents that are kept, (documents,)."""
        columns = {
            name: np.concatenate([part.columns[name][kept] for part, kept in parts]) for name in parts[0][0].columns
        }
        fields = {
            name: Postings.joined([(part.fields[name], kept) for part, kept in parts]) for name in parts[0][0].fields
        }
        documents, values, offset = [], [], 0
        for part, kept in parts:
            numbers = np.cumsum(kept) - 1 + offset
            here = kept[part.link_documents]
            documents.append(numbers[part.link_documents[here]])
            values.append(part.link_values[here])
            offset += int(kept.sum())
        return cls(columns, fields, np.concatenate(documents), np.concatenate(values))

    def save(self, folder: Path) -> None:
        """Write every array to a file of its own in a new folder, and their names to one more."""
        folder.mkdir(parents=True)
        arrays = self._arrays()
        for name, array in arrays.items():
            np.save(folder / f"{name}.npy", array, allow_pickle=False)
        (folder / _NAMES).write_text(json.dumps(sorted(arrays)), encoding="utf-8")

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Map what `save` wrote into memory; pages are read when they are used.

        Raises:
            OSError: A file is missing or cannot be read.
            ValueError: A file is damaged.
        """
        try:
            names = json.loads((folder / _NAMES).read_text(encoding="utf-8"))
            arrays = {name: np.load(folder / f"{name}.npy", mmap_mode="r", allow_pickle=False) for name in names}
            columns = {name.removeprefix("column-"): a for name, a in arrays.items() if name.startswith("column-")}
            size = len(columns["id"])
            fields = sorted({name.split("-")[1] for name in arrays if name.startswith("field-")})
            parts = {field: {key.split("-")[2]: a for key, a in arrays.items() if key.startswith(f"field-{field}-")}
                     for field in fields}  # fmt: skip
            postings = {field: Postings.from_arrays(part, size) for field, part in parts.items()}
            return cls(columns, postings, arrays["link_documents"], arrays["link_values"])
        except (EOFError, LookupError, TypeError, AttributeError) as error:
            # After a crash a file may be empty, or hold anything.
            msg = f"{folder} is damaged: {type(error).__name__}: {error}"
            raise ValueError(msg) from error

    def _arrays(self) -> dict[str, NDArray[np.generic]]:
        arrays = {f"column-{name}": array for name, array in self.columns.items()}
        for name, field in self.fields.items():
            arrays |= {f"field-{name}-{key}": array for key, array in field.arrays().items()}
        return arrays | {"link_documents": self.link_documents, "link_values": self.link_values}


@dataclass(frozen=True)
class Collection:
    """The documents of a kind: a large base, a small tail, and which of them still count.

    It is never changed: `replaced` gives the next one, and a search that is running keeps the one it has.
    """

    base: Segment
    tail: Segment
    alive: NDArray[np.bool_]
    """Of the base, then of the tail, (documents,)."""

    @classmethod
    def of(cls, base: Segment) -> Self:
        """Nothing but a base."""
        nothing = np.zeros(len(base), dtype=bool)
        return cls(base, Segment.joined([(base, nothing)]), np.ones(len(base), dtype=bool))

    def __len__(self) -> int:
        return len(self.alive)

    @property
    def _segments(self) -> tuple[Segment, Segment]:
        return self.base, self.tail

    def replaced(self, ids: NDArray[np.int64], new: Segment) -> Collection:
        """The collection without the documents of some ids, and with new ones."""
        gone = np.isin(self.ids, ids)
        alive = self.alive & ~gone
        kept = alive[len(self.base) :]
        tail = Segment.joined([(self.tail, kept), (new, np.ones(len(new), dtype=bool))])
        return Collection(self.base, tail, np.concatenate([alive[: len(self.base)], np.ones(len(tail), dtype=bool)]))

    def compacted(self) -> Collection:
        """The same documents, all in the base."""
        split = len(self.base)
        return Collection.of(Segment.joined([(self.base, self.alive[:split]), (self.tail, self.alive[split:])]))

    @property
    def is_scattered(self) -> bool:
        """Whether so much has changed that it is worth making a new base."""
        dead = len(self.base) - int(self.alive[: len(self.base)].sum())
        return len(self.tail) + dead > max(MIN_SCATTERED, len(self.base) // 10)

    @cached_property
    def ids(self) -> NDArray[np.int64]:
        """The id of each document, dead or alive, (documents,)."""
        return np.concatenate([segment.ids for segment in self._segments])

    @cached_property
    def links(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Documents that still count, with the numbers they are linked to."""
        documents = np.concatenate([self.base.link_documents, self.tail.link_documents + len(self.base)])
        values = np.concatenate([self.base.link_values, self.tail.link_values])
        kept = self.alive[documents]
        return documents[kept], values[kept]

    def column(self, name: str) -> NDArray[np.generic]:
        """Values of each document, dead or alive."""
        if not len(self.tail):
            return self.base.columns[name]
        return np.concatenate([segment.columns[name] for segment in self._segments])

    def frequencies(self, field: str, terms: Terms) -> NDArray[np.int64]:
        """In how many documents each term occurs; those that were replaced count until the next base."""
        return sum((segment.fields[field].frequencies(terms) for segment in self._segments), np.zeros(len(terms), int))

    def scores(self, field: str, terms: Terms, weights: NDArray[np.float32]) -> NDArray[np.float32]:
        """The sum over different terms of weight times impact, (documents,)."""
        scores = np.zeros(len(self), dtype=np.float32)
        self.base.fields[field].add_scores(terms, weights, scores[: len(self.base)])
        self.tail.fields[field].add_scores(terms, weights, scores[len(self.base) :])
        return scores

    def cosines(self, vectors: NDArray[np.float32]) -> NDArray[np.float32]:
        """The product of each document's `vector` with each of some vectors, (vectors, documents)."""
        tables = [segment.columns["vector"].astype(np.float32, copy=False) for segment in self._segments]
        return np.concatenate([vectors @ table.T for table in tables], axis=1)


MIN_SCATTERED: Final = 2000
"""Documents; fewer are never worth a new base."""
