"""The pairs and models that the ranking is trained on, and folds of them that imitate its evaluation."""

from __future__ import annotations

import random
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import scipy.sparse
import scipy.sparse.csgraph
from numpy.typing import NDArray

from tool_specs.civitai.records import specs_of
from tool_specs.exceptions import CatalogError
from tool_specs.importing.documents import entries
from tool_specs.importing.pairs import evidence_of
from tool_specs.importing.shapes import model_record
from tool_specs.ranking.documents import Described, Prompt
from tool_specs.ranking.texts import words

NEAR_DUPLICATE = 0.9
"""Prompts that share so much of their words (Jaccard index) stay on one side of a fold."""
UNSEEN_SHARE = 0.08
"""Models of a fold that lose all their evidence."""
HELD_SHARE = 0.09
"""Other groups of prompts that a fold holds back."""
MIN_PROMPTS = 2
"""Prompts that a model must keep for those held back to count."""


@dataclass(frozen=True, slots=True)
class Corpus:
    """All models, and the pairs that show what they are used for."""

    models: tuple[tuple[Described, ...], ...]
    """The versions of each model."""
    prompts: tuple[Prompt, ...]
    groups: NDArray[np.int64]
    """Prompts of one number are near-duplicates of one another, (prompts,)."""


@dataclass(frozen=True, slots=True)
class Fold:
    """Evidence to search in, and requests whose models are known.

    Attributes:
        evidence: Places of the prompts that may be searched.
        seen: Places of requests whose models have evidence.
        unseen: Places of requests for models that have none.
        unseen_models: Those models.
    """

    evidence: tuple[int, ...]
    seen: tuple[int, ...]
    unseen: tuple[int, ...]
    unseen_models: frozenset[int]


def read_corpus(models: Path, pairs: Path) -> Corpus:
    """Read models and pairs as `diffagent import` reads them.

    Args:
        models: API dumps or normalised rows.
        pairs: Training pairs.
    """
    versions: dict[int, list[Described]] = defaultdict(list)
    for entry in entries(models):
        record = model_record(entry.value, models)
        for spec in specs_of(record.record).specs if record else ():
            versions[spec.model_id].append(Described.of(spec))
    prompts: list[Prompt] = []
    for entry in entries(pairs):
        try:
            evidence = evidence_of(entry.value)
        except CatalogError as error:
            msg = f"{entry.place} of {pairs}: {entry.reason or error}; take it out, or make it a training pair"
            raise CatalogError(msg) from error
        prompts.append(Prompt(len(prompts), evidence.text, tuple(dict.fromkeys(use.model_id for use in evidence.uses))))
    return Corpus(tuple(map(tuple, versions.values())), tuple(prompts), near_duplicates([p.text for p in prompts]))


def near_duplicates(texts: Sequence[str], *, block: int = 256) -> NDArray[np.int64]:
    """Number the groups of texts that share `NEAR_DUPLICATE` of their words with another of the group, (texts,)."""
    numbers: dict[str, int] = {}
    pairs = [(n, numbers.setdefault(word, len(numbers))) for n, text in enumerate(texts) for word in set(words(text))]
    rows, columns = np.array(pairs).T
    bags = scipy.sparse.csr_matrix((np.ones(len(rows), dtype=np.float32), (rows, columns)))
    sizes = np.asarray(bags.sum(1)).ravel()
    links = []
    for start in range(0, bags.shape[0], block):
        shared = (bags[start : start + block] @ bags.T).tocoo()
        union = sizes[start + shared.row] + sizes[shared.col] - shared.data
        near = shared.data >= NEAR_DUPLICATE * union
        links.append(np.stack([start + shared.row[near], shared.col[near]]))
    ends = np.concatenate(links, axis=1)
    graph = scipy.sparse.coo_matrix((np.ones(ends.shape[1]), ends), shape=(len(texts), len(texts)))
    return scipy.sparse.csgraph.connected_components(graph, directed=False)[1].astype(np.int64)


def fold_of(corpus: Corpus, seed: int) -> Fold:
    """Hold back some models with all their prompts, and some groups of the other prompts."""
    generator = random.Random(seed)  # noqa: S311 - a split, not a secret
    prompts, groups = corpus.prompts, corpus.groups.tolist()
    used = sorted({model for prompt in prompts for model in prompt.model_ids})
    generator.shuffle(used)
    unseen_models = frozenset(used[: int(len(used) * UNSEEN_SHARE)])
    unseen = [n for n, prompt in enumerate(prompts) if not unseen_models.isdisjoint(prompt.model_ids)]
    lost = {groups[n] for n in unseen}
    rest = [n for n in range(len(prompts)) if groups[n] not in lost]
    names = sorted({groups[n] for n in rest})
    generator.shuffle(names)
    held = set(names[: int(len(names) * HELD_SHARE)])
    evidence = [n for n in rest if groups[n] not in held]
    counts = Counter(model for n in evidence for model in prompts[n].model_ids)
    known = {model for model, count in counts.items() if count >= MIN_PROMPTS}
    seen = [n for n in rest if groups[n] in held and not known.isdisjoint(prompts[n].model_ids)]
    return Fold(tuple(evidence), tuple(seen), tuple(unseen), unseen_models)
