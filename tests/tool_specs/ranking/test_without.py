"""An index less some of its evidence."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tests.stored_models import THEMES, furnish, prove, put, record, theme_records, theme_uses
from tool_specs.ranking.documents import CHECKPOINT
from tool_specs.ranking.features import Request
from tool_specs.ranking.index import CatalogIndex, example_number
from tool_specs.ranking.ranking import rank
from tool_specs.ranking.without import IndexWithout
from tool_specs.store.database import CatalogDatabase

Index = CatalogIndex | IndexWithout


def ranked(index: Index, text: str) -> dict[int, float]:
    """The score of each checkpoint, best first."""
    view = index.view()
    requests = Request.read([text], index.weights.encoder)
    ((found,),) = rank(view, index.weights.scorer, requests, [view.kind == CHECKPOINT])
    return dict(zip(view.models.ids[found.rows].tolist(), found.scores.tolist(), strict=True))


def texts(index: Index, model_id: int) -> int:
    """How many prompts speak for a model."""
    view = index.view()
    return int(view.count[np.flatnonzero((view.models.ids == model_id) & (view.kind >= 0))[0]])


def numbers_of(database: CatalogDatabase, model_id: int) -> list[int]:
    """The evidence of a model."""
    changes = database.evidence_changes(0, database.version)
    return [change.number for change in changes if model_id in {use.model_id for use in change.uses}]


def test_it_ranks_like_the_index_of_a_catalog_that_does_not_hold_it(database: CatalogDatabase, tmp_path: Path) -> None:
    gone = numbers_of(database, 2)
    part = IndexWithout(CatalogIndex(database), gone)
    with CatalogDatabase.open(tmp_path / "poorer") as poorer:
        put(poorer, *theme_records())
        prove(poorer, [(text, number) for text, number in theme_uses() if number != 2])
        for text in ("a red dragon breathing fire", "a castle on a hill", "a neon city"):
            # How rare a word is, is told by all evidence.
            assert ranked(part, text) == pytest.approx(ranked(CatalogIndex(poorer), text), abs=0.05), text
    assert texts(part, 2) == 0
    assert all(texts(part, number) == 3 for number in THEMES if number != 2)


def test_without_evidence_a_model_is_known_by_its_examples(tmp_path: Path) -> None:
    furnish(tmp_path)
    with CatalogDatabase.open(tmp_path) as database:
        put(database, record(60, "Model 60", examples=["a lighthouse in a storm", "a lighthouse at dawn"]))
        prove(database, [("a lighthouse in a calm", 60)])
        whole = CatalogIndex(database)
        assert texts(whole, 60) == 1
        gone = numbers_of(database, 60)
        assert texts(IndexWithout(whole, gone), 60) == 2
        assert texts(IndexWithout(whole, [*gone, example_number(60, 0)]), 60) == 1
        assert texts(IndexWithout(whole, []), 60) == 1


def test_it_follows_the_catalog(database: CatalogDatabase) -> None:
    part = IndexWithout(CatalogIndex(database), numbers_of(database, 2))
    assert part.view() is part.view()
    prove(database, [("a dragon made of glass", 2)])
    assert texts(part, 2) == 1
    assert next(iter(ranked(part, "a dragon made of glass"))) == 2
