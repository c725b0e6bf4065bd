"""Search over a stored catalog as if it did not hold what a data set was made of.

The pairs of a data set are the catalog's own evidence, and evidence is what search knows models by: asked for a pair,
it would find that pair, and offer its model for it. Nobody who asks for a new picture is helped like that.
"""

from __future__ import annotations

import zlib
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from finetune.dabench.collecting import numbered_evidence
from finetune.dabench.descriptions import plain_description
from finetune.dabench.duplicates import SIMILARITY, clusters
from finetune.dabench.pairs import TRAINING, Pair, read_pairs, splits_in
from tool_specs.naming import model_id_of
from tool_specs.ranking.index import CatalogIndex, examples_by_model
from tool_specs.ranking.without import IndexWithout
from tool_specs.rules import Rules
from tool_specs.search.ranked import RankedShortlister
from tool_specs.search.shortlist import Shortlist
from tool_specs.store.batches import batches
from tool_specs.store.catalog import StoredCatalog
from tool_specs.store.database import CatalogDatabase

FOLDS: Final = 10
"""A training pair is asked without a tenth of what training rests on, the tenth that it is in."""


@dataclass(frozen=True, slots=True)
class LeftOutEvidence:
    """Which evidence of a catalog would give answers of a data set away, by number.

    Attributes:
        always: Near to a pair outside the training split, or of a model that only such pairs have.
        folds: Near to training pairs, in parts, (`FOLDS`,).
        fold_of: The fold of each training pair, by its instruction in single spaces.
    """

    always: frozenset[int]
    folds: tuple[frozenset[int], ...]
    fold_of: Mapping[str, int]


class HeldOutShortlister:
    """Finds models in a stored catalog for the instructions of a data set.

    Args:
        catalog: Where to look.
        left_out: What of its evidence is not looked at.
    """

    def __init__(self, catalog: StoredCatalog, left_out: LeftOutEvidence) -> None:
        self.catalog = catalog
        self._left_out = left_out
        self._index = CatalogIndex(catalog.database)
        self._without: dict[int | None, RankedShortlister] = {}

    @property
    def rules(self) -> Rules:
        """What may be offered."""
        return self._asked(None).rules

    def shortlist(self, request: str, k: int = 8) -> Shortlist:
        """The at most `k` checkpoints and `k` networks for a request.

        Raises:
            RequestError: The request is empty, too long, or `k` is below 1.
        """
        return self._asked(self._left_out.fold_of.get(_key(request))).shortlist(request, k)

    def _asked(self, fold: int | None) -> RankedShortlister:
        if (found := self._without.get(fold)) is None:
            numbers = self._left_out.always | (frozenset() if fold is None else self._left_out.folds[fold])
            found = RankedShortlister(self.catalog, index=IndexWithout(self._index, numbers))
            self._without[fold] = found
        return found


def left_out_of(database: CatalogDatabase, dataset: Path) -> LeftOutEvidence:
    """Find the evidence behind a data set, and what is near to it.

    Near is what a build calls near, in plain words (`duplicates.clusters`); a pair is also near to all that is near to
    the evidence that it was made from. Example prompts on the pages of its models count like evidence.

    Args:
        database: The catalog.
        dataset: Folder of the pairs, all splits of which are read.

    Raises:
        CatalogError: The catalog cannot be read.
        ConfigError: A split cannot be read.
    """
    pairs = [pair for split in splits_in(dataset) for pair in read_pairs(dataset, split)]
    known = list(_texts(database, {model_id for pair in pairs for model_id in _models(pair)}))
    texts = [*(one.text for one in known), *(pair.reference or pair.instruction for pair in pairs)]
    near = clusters([plain_description(text) for text in texts], similarity=SIMILARITY).tolist()
    members: dict[int, set[int]] = defaultdict(set)
    for one, cluster in zip(known, near, strict=False):
        members[cluster].add(one.number)
    made_of = {one.source: cluster for one, cluster in zip(known, near, strict=False) if one.source}
    around = [
        {cluster, made_of.get(pair.source, cluster)} for pair, cluster in zip(pairs, near[len(known) :], strict=True)
    ]
    held_back = _held_back(pairs)
    always = {one.number for one in known if one.number > 0 and held_back & one.model_ids}
    folds: list[set[int]] = [set() for _ in range(FOLDS)]
    fold_of: dict[str, int] = {}
    for pair, found in zip(pairs, around, strict=True):
        numbers = {number for cluster in found for number in members.get(cluster, ())}
        if pair.split != TRAINING:
            always |= numbers
            continue
        fold = zlib.crc32(texts[min(found)].encode()) % FOLDS
        folds[fold] |= numbers
        fold_of[_key(pair.instruction)] = fold
    return LeftOutEvidence(frozenset(always), tuple(map(frozenset, folds)), fold_of)


@dataclass(frozen=True, slots=True)
class _Text:
    """A piece of evidence, or an example; the numbers of examples are negative."""

    number: int
    text: str
    source: str
    model_ids: frozenset[int]


def _texts(database: CatalogDatabase, model_ids: Iterable[int]) -> Iterator[_Text]:
    """All evidence, and the examples of some models."""
    for number, one in numbered_evidence(database):
        yield _Text(number, one.text, one.id, frozenset(use.model_id for use in one.uses))
    for batch in batches(sorted(model_ids)):
        for examples in examples_by_model(database, batch).values():
            for example in examples:
                yield _Text(example.number, example.text, "", frozenset(example.model_ids))


def _models(pair: Pair) -> frozenset[int]:
    return frozenset(map(model_id_of, pair.models))


def _held_back(pairs: Sequence[Pair]) -> frozenset[int]:
    """The models that no training pair has, if any pair is for training."""
    trained = {model_id for pair in pairs if pair.split == TRAINING for model_id in _models(pair)}
    return frozenset(model_id for pair in pairs for model_id in _models(pair)) - trained if trained else frozenset()


def _key(instruction: str) -> str:
    return " ".join(instruction.split())
