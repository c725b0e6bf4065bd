"""Prompts and models brought together: which prompts speak for which model, and for which creator."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

from tool_specs.ranking.segments import Collection

Scores = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Pool:
    """Prompts in groups: first the groups of one prompt, then the larger ones.

    Attributes:
        prompts: Prompt numbers, group after group, (links,).
        singles: How many groups have one prompt.
        starts: Where each larger group begins in `prompts[singles:]`, (larger groups,).
        owners: The number of each group, (groups,).
        size: One more than the highest number there could be.
    """

    prompts: NDArray[np.int64]
    singles: int
    starts: NDArray[np.int64]
    owners: NDArray[np.int64]
    size: int

    @classmethod
    def of(cls, prompts: NDArray[np.int64], owners: NDArray[np.int64], size: int) -> Self:
        """Group prompts by owner; each counts once for an owner."""
        pairs = np.unique(np.stack([owners, prompts]), axis=1) if len(prompts) else np.zeros((2, 0), dtype=np.int64)
        names, counts = np.unique(pairs[0], return_counts=True)
        alone = np.repeat(counts == 1, counts)
        return cls(
            prompts=np.concatenate([pairs[1][alone], pairs[1][~alone]]),
            singles=int(alone.sum()),
            starts=np.cumsum(np.append(0, counts[counts > 1]))[:-1].astype(np.int64),
            owners=np.concatenate([names[counts == 1], names[counts > 1]]),
            size=size,
        )

    @property
    def counts(self) -> NDArray[np.int64]:
        """Prompts of each owner, (size,)."""
        counts = np.zeros(self.size, dtype=np.int64)
        counts[self.owners[: self.singles]] = 1
        counts[self.owners[self.singles :]] = np.diff(np.append(self.starts, len(self.prompts) - self.singles))
        return counts

    def maxima(self, scores: Scores) -> Scores:
        """The highest score of each owner's prompts, at least 0, (size,)."""
        return self._reduced(np.maximum, scores)

    def totals(self, scores: Scores) -> Scores:
        """The sum of the scores of each owner's prompts, at least 0, (size,)."""
        return self._reduced(np.add, scores)

    def best(self, owner: int, scores: Scores) -> int | None:
        """The owner's prompt with the highest score; None where it has none."""
        groups = np.flatnonzero(self.owners == owner)
        if not len(groups):
            return None
        group = int(groups[0])
        if group < self.singles:
            return int(self.prompts[group])
        bounds = np.append(self.starts, len(self.prompts) - self.singles) + self.singles
        mine = self.prompts[bounds[group - self.singles] : bounds[group - self.singles + 1]]
        return int(mine[np.argmax(scores[mine])])

    def _reduced(self, function: np.ufunc, scores: Scores) -> Scores:
        pooled = np.zeros(self.size, dtype=np.float32)
        values = scores[self.prompts]
        pooled[self.owners[: self.singles]] = values[: self.singles]
        if len(self.starts):
            # Much slower than a plain copy, so it is left to the groups that need it.
            pooled[self.owners[self.singles :]] = function.reduceat(values[self.singles :], self.starts)
        return np.maximum(pooled, 0)


@dataclass(frozen=True)
class View:
    """A state of the index that searches read; never changed.

    Attributes:
        prompts: The evidence.
        models: The models; a *row* is a model's place in it.
        by_model: Prompts by row.
        by_creator: Prompts by creator number.
        kind: `CHECKPOINT`, `NETWORK` or `OTHER` of each row; -1 where a row counts no more, (models,).
        popularity: Log of downloads; the median where unknown, (models,).
        embedding: Whether it is a textual inversion, (models,).
        creator: Creator number of each row, (models,); 0 is nobody.
        count: Prompts of each row, (models,).
        creator_count: Prompts of the other models of the same creator, (models,).
    """

    prompts: Collection
    models: Collection
    by_model: Pool
    by_creator: Pool
    kind: NDArray[np.int64]
    popularity: NDArray[np.float32]
    embedding: NDArray[np.bool_]
    creator: NDArray[np.int64]
    count: NDArray[np.int64]
    creator_count: NDArray[np.int64]

    @classmethod
    def of(cls, prompts: Collection, models: Collection) -> Self:
        """Bring prompts and models together; links to models that are not there count for nothing."""
        documents, model_ids = prompts.links
        rows = _rows_of(models, model_ids)
        documents, rows = documents[rows >= 0], rows[rows >= 0]
        by_model = Pool.of(documents, rows, len(models))
        creators, creator = np.unique(np.append(0, models.column("creator")), return_inverse=True)
        creator = creator[1:].astype(np.int64)
        named = creator[rows] > 0
        by_creator = Pool.of(documents[named], creator[rows[named]], len(creators))
        count = by_model.counts
        return cls(
            prompts=prompts,
            models=models,
            by_model=by_model,
            by_creator=by_creator,
            kind=np.where(models.alive, models.column("kind"), -1).astype(np.int64),
            popularity=_without_gaps(models.column("popularity").astype(np.float32)),
            embedding=models.column("embedding").astype(bool),
            creator=creator,
            count=count,
            creator_count=np.where(creator > 0, np.maximum(by_creator.counts[creator] - count, 0), 0),
        )

    def rows_with(self, base_model: int) -> NDArray[np.bool_]:
        """Which rows have a version for a base model, given as a term, (models,)."""
        documents, values = self.models.links
        found = np.zeros(len(self.models), dtype=bool)
        found[documents[values == base_model]] = True
        return found


def _rows_of(models: Collection, model_ids: NDArray[np.int64]) -> NDArray[np.int64]:
    """The row of each model id; -1 where there is none."""
    alive = np.flatnonzero(models.alive)
    if not len(alive):
        return np.full(len(model_ids), -1, dtype=np.int64)
    order = alive[np.argsort(models.ids[alive])]
    places = np.minimum(np.searchsorted(models.ids[order], model_ids), len(order) - 1)
    return np.where(models.ids[order[places]] == model_ids, order[places], -1)


def _without_gaps(values: NDArray[np.float32]) -> NDArray[np.float32]:
    known = values[~np.isnan(values)]
    return np.nan_to_num(values, nan=float(np.median(known)) if len(known) else 0.0)
