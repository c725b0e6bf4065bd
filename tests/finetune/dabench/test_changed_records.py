from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from diffagent_tools.chat_models.retrieval import RetrievalChatModel
from finetune.dabench.evaluation import Planner, evaluate
from finetune.dabench.results import Result
from tests.finetune.dabench.paper_pairs import paper_pairs
from tests.graphs.paper_world import CATALOG, FOOD, PIXEL
from tool_specs.catalog import Catalog
from tool_specs.families import POCKET
from tool_specs.search.shortlist import Shortlister
from tool_specs.spec import Spread, Stats

PIZZA = paper_pairs()[1]


@pytest.fixture
def embedder(paper_shortlister: Shortlister) -> Any:
    return paper_shortlister.embedder


def asked(catalog: Catalog, embedder: Any, folder: Path) -> Result:
    """What retrieval makes of the pizza in pixel art."""
    shortlister = Shortlister(catalog, embedder)
    planner = Planner("retrieval", RetrievalChatModel(catalog=catalog, shortlister=shortlister))
    (row,) = evaluate([PIZZA], [planner], shortlister, folder, console=Console(file=io.StringIO()))
    assert row.call is not None
    return row


def with_record(spec_id: str, **changes: object) -> Catalog:
    return Catalog(spec.model_copy(update=changes) if spec.id == spec_id else spec for spec in CATALOG)


def test_other_recommended_parameters_are_another_question(embedder: Any, tmp_path: Path) -> None:
    before = asked(CATALOG, embedder, tmp_path)
    learned = CATALOG.get(FOOD).recommended.model_copy(update={"cfg_scale": Spread(median=2.5, low=2.5, high=2.5)})
    after = asked(with_record(FOOD, recommended=learned), embedder, tmp_path)
    assert [row.call and row.call["cfg_scale"] for row in (before, after)] == [POCKET.cfg_scale, 2.5]


def test_other_trigger_words_are_another_question(embedder: Any, tmp_path: Path) -> None:
    before = asked(CATALOG, embedder, tmp_path)
    after = asked(with_record(PIXEL, trigger_words=("p1xel",)), embedder, tmp_path)
    assert ["p1xel" in str(row.call) for row in (before, after)] == [False, True]


def test_other_statistics_are_not(embedder: Any, tmp_path: Path) -> None:
    before = asked(CATALOG, embedder, tmp_path)
    assert asked(with_record(FOOD, stats=Stats(downloads=7)), embedder, tmp_path) == before
