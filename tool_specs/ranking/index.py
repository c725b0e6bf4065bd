"""The search index of a catalog: it follows the catalog's changes, and keeps what it made beside it."""

from __future__ import annotations

import itertools
import re
import threading
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from tool_specs.naming import model_id_of
from tool_specs.prompts import clean_prompt, without_loras
from tool_specs.ranking.documents import Described, Prompt, model_segment, prompt_segment
from tool_specs.ranking.encoder import Encoder
from tool_specs.ranking.kept import KeptIndex
from tool_specs.ranking.segments import Collection, Segment
from tool_specs.ranking.view import View
from tool_specs.ranking.weights import RankingWeights, shipped_weights
from tool_specs.spec import ToolSpec
from tool_specs.store.database import CatalogDatabase

_WEIGHT: Final = re.compile(r":\s*-?\d*\.?\d+(?=\s*[)\]}])|\bBREAK\b")
_BRACKETS: Final = str.maketrans("()[]{}\\", "       ")
Indexing = Callable[[Sequence[Any], Encoder], Segment]
"""`model_segment` or `prompt_segment`."""
MAX_EXAMPLES: Final = 10
"""Example prompts of a model that stand in for evidence where there is none."""


def in_this_process(indexing: Indexing, documents: Sequence[Any], encoder: Encoder) -> Segment:
    """Index documents all at once."""
    return indexing(documents, encoder)


class CatalogIndex:
    """Search structures over a stored catalog.

    What changed in the catalog is indexed at the next question, whoever changed it. The bulk is kept in files beside
    the catalog and mapped into memory, so that opening costs next to nothing; where they cannot be written, it is made
    again by every process.

    Args:
        database: The catalog; closing it is the caller's business.
        weights: Encoder and scorer; by default those that come with the package.
        indexed: Indexes documents, here or elsewhere.
    """

    def __init__(
        self,
        database: CatalogDatabase,
        *,
        weights: RankingWeights | None = None,
        indexed: Callable[[Indexing, Sequence[Any], Encoder], Segment] = in_this_process,
    ) -> None:
        self.database = database
        self._indexed = indexed
        self.weights = weights or shipped_weights()
        self._kept = KeptIndex(
            database.path.parent / "index", f"{database.note('identity') or ''}-{self.weights.fingerprint}"
        )
        self._lock = threading.Lock()
        self._version = -1
        self._view: View | None = None

    def view(self) -> View:
        """The index as the catalog is now.

        Raises:
            CatalogError: The catalog cannot be read.
        """
        with self._lock:
            version = self.database.version
            if self._view is None or version != self._version:
                self._view = self._followed(version)
                self._version = version
            return self._view

    def _followed(self, version: int) -> View:
        """The index with the changes up to a version of the catalog."""
        if self._view is None:
            since, prompts, models = self._opened(version)
        else:
            since, prompts, models = self._version, self._view.prompts, self._view.models
        prompts, models = self._changed(prompts, models, since, version)
        if since < version and (prompts.is_scattered or models.is_scattered or since == 0):
            prompts, models = prompts.compacted(), models.compacted()
            self._kept.save(version, prompts.base, models.base)
        return View.of(prompts, models)

    def _opened(self, version: int) -> tuple[int, Collection, Collection]:
        """What was kept, or the index of an empty catalog."""
        if (kept := self._kept.load(version)) is not None:
            return kept.version, Collection.of(kept.prompts), Collection.of(kept.models)
        encoder = self.weights.encoder
        return 0, Collection.of(prompt_segment([], encoder)), Collection.of(model_segment([], encoder))

    def _changed(
        self, prompts: Collection, models: Collection, since: int, version: int
    ) -> tuple[Collection, Collection]:
        """The collections with the changes of the catalog between two versions."""
        specs = self._changed_models(since, version)
        evidence = [
            Prompt(change.number, change.text, tuple(dict.fromkeys(use.model_id for use in change.uses)))
            for change in self.database.evidence_changes(since, version)
        ]
        if not specs and not evidence:
            return prompts, models
        encoder = self.weights.encoder
        described = [[Described.of(spec) for spec in versions] for versions in specs.values() if versions]
        models = models.replaced(
            np.array(list(specs), dtype=np.int64), self._indexed(model_segment, described, encoder)
        )
        examples = self._examples(prompts, specs, evidence)
        gone = [example_number(model_id, n) for model_id in examples for n in range(MAX_EXAMPLES)]
        fresh = [*evidence, *itertools.chain.from_iterable(examples.values())]
        replaced = np.array([*(prompt.number for prompt in evidence), *gone], dtype=np.int64)
        return prompts.replaced(replaced, self._indexed(prompt_segment, fresh, encoder)), models

    def _changed_models(self, since: int, version: int) -> dict[int, list[ToolSpec]]:
        """All versions of each model that changed; an empty list for one that is gone."""
        changed: dict[int, list[ToolSpec]] = defaultdict(list)
        if since == 0:
            for change in self.database.spec_changes(0, version):
                if change.spec is not None:
                    changed[change.spec.model_id].append(change.spec)
            for versions in changed.values():
                versions.sort(key=lambda spec: -spec.version_id)
            return changed
        ids = {model_id_of(change.spec_id) for change in self.database.spec_changes(since, version)}
        return self.database.versions(sorted(ids))

    def _examples(
        self, prompts: Collection, specs: Mapping[int, Sequence[ToolSpec]], evidence: Iterable[Prompt]
    ) -> dict[int, list[Prompt]]:
        """For each model that changed, its example prompts where nothing else shows what it is used for."""
        known = set(proven(prompts).tolist())
        fresh = {model_id for prompt in evidence for model_id in prompt.model_ids}
        return {
            model_id: [] if model_id in known or model_id in fresh else examples_of(specs.get(model_id, ()))
            for model_id in {*specs, *fresh}
        }


def proven(prompts: Collection) -> NDArray[np.int64]:
    """The ids of the models that evidence speaks for, (models,)."""
    documents, model_ids = prompts.links
    return np.unique(model_ids[prompts.ids[documents] > 0])


def examples_of(specs: Sequence[ToolSpec]) -> list[Prompt]:
    """The example prompts of a model's versions as evidence, less weights and network tags."""
    texts = dict.fromkeys(plain_request(example.prompt) for spec in specs for example in spec.examples[:MAX_EXAMPLES])
    model_id = specs[0].model_id if specs else 0
    kept = [text for text in texts if text][:MAX_EXAMPLES]
    return [Prompt(example_number(model_id, n), text, (model_id,)) for n, text in enumerate(kept)]


def examples_by_model(database: CatalogDatabase, model_ids: Iterable[int]) -> dict[int, list[Prompt]]:
    """The example prompts of models."""
    return {model_id: examples_of(versions) for model_id, versions in database.versions(list(model_ids)).items()}


def example_number(model_id: int, n: int) -> int:
    """The number of a model's n-th example among the prompts; the numbers of evidence are positive."""
    return -(model_id * MAX_EXAMPLES + n) - 1


def plain_request(prompt: str) -> str:
    """A prompt without network tags and A1111 weights, as somebody would ask for it."""
    text, _ = without_loras(clean_prompt(prompt))
    return " ".join(_WEIGHT.sub(" ", text).translate(_BRACKETS).split())
