"""Our stored catalog without its search index: rows only."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Final

from diffagent_tools.benchmarks.catalog.corpus import Corpus, Entry
from tool_specs.naming import parse_spec_id
from tool_specs.spec import ToolSpec
from tool_specs.store.database import CatalogDatabase
from tool_specs.store.rows import Evidence, Use

TRANSACTION: Final = 5
"""Batches in one transaction, about as many as an import takes."""


class CatalogRows:
    """Specs and evidence as `diffagent import` stores them, from rows that still have to be read as specs."""

    def __init__(self, folder: Path, corpus: Corpus) -> None:
        self._folder = folder
        self._corpus = corpus

    def build(self) -> None:
        """Read the rows and store them, a transaction for every few batches."""
        with CatalogDatabase.open(self._folder) as database:
            for entries in _together(self._corpus.batches("specs")):
                with database.transaction() as writing:
                    writing.put_specs((ToolSpec.model_validate_json(entry.body) for entry in entries), origin="rows")
            for entries in _together(self._corpus.batches("evidence")):
                with database.transaction() as writing:
                    writing.put_evidence(map(_evidence, entries))


def _evidence(entry: Entry) -> Evidence:
    model_id, version_id = parse_spec_id(entry.id)
    return Evidence(entry.text, (Use(model_id, version_id, None),), {"prompt": entry.text})


def _together(batches: Iterator[list[Entry]]) -> Iterator[list[Entry]]:
    """Several batches as one."""
    for batch in batches:
        yield [*batch, *(entry for _, more in zip(range(TRANSACTION - 1), batches, strict=False) for entry in more)]
