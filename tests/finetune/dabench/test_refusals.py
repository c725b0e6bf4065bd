from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from finetune.dabench.evaluation import FILE_NAME, evaluate
from finetune.dabench.pairs import Pair
from finetune.dabench.planners import Source, planners_of
from finetune.dabench.refusals import MAX_REFUSALS
from finetune.dabench.results import Result
from finetune.json_lines import JsonLines
from tests.diffagent_tools.chat_models.chat_server import ChatServer, answer, refusal, serving
from tests.finetune.dabench.paper_pairs import paper_pairs
from tool_specs.exceptions import BackendError
from tool_specs.search.shortlist import Shortlister

NO_PARSER = refusal('"auto" tool choice requires --enable-auto-tool-choice')
FOX = paper_pairs()[0]
MANY = [FOX.model_copy(update={"id": f"fox-{n}", "instruction": f"a fox please, {n}"}) for n in range(12)]

Ask = Callable[[list[Pair]], list[Result]]


@pytest.fixture
def server() -> Iterator[ChatServer]:
    with serving() as running:
        yield running


@pytest.fixture
def ask(server: ChatServer, paper_shortlister: Shortlister, tmp_path: Path) -> Ask:
    """Evaluate what the server says beside a planner that answers everything."""

    def ask(pairs: list[Pair]) -> list[Result]:
        planners = planners_of(
            ["retrieval", f"served=endpoint:{server.url}:planner"], Source(paper_shortlister, tmp_path)
        )
        return evaluate(pairs, planners, paper_shortlister, tmp_path, console=Console(file=io.StringIO()))

    return ask


def rows_in(folder: Path, planner: str) -> list[Result]:
    return [row for row in JsonLines(folder / FILE_NAME, Result).read() if row.planner == planner]


def test_an_endpoint_that_refuses_everything_ends_the_run_unwritten(
    ask: Ask, server: ChatServer, tmp_path: Path
) -> None:
    server.reply = NO_PARSER
    with pytest.raises(BackendError, match=r"'served' refused all of the first 8 .* --enable-auto.* run again"):
        ask(MANY)
    assert len(server.asked) == MAX_REFUSALS
    assert len(rows_in(tmp_path, "retrieval")) == MAX_REFUSALS
    assert rows_in(tmp_path, "served") == []
    server.reply = answer("None of them can.")
    assert [row.declined for row in ask(MANY) if row.planner == "served"] == [True] * 12


def test_a_short_evaluation_of_refusals_ends_likewise(ask: Ask, server: ChatServer, tmp_path: Path) -> None:
    server.reply = NO_PARSER
    unasked = FOX.model_copy(update={"id": "unasked", "instruction": "?!"})
    with pytest.raises(BackendError, match="refused all of the first 2 questions"):
        ask([unasked, *MANY[:2]])
    assert [row.pair for row in rows_in(tmp_path, "served")] == ["unasked"]


def test_questions_that_are_too_long_are_invalid_answers_of_an_endpoint_that_answers_others(
    ask: Ask, server: ChatServer, tmp_path: Path
) -> None:
    def reply(asked: dict[str, Any]) -> dict[str, Any]:
        last = str(asked["messages"][-1]["content"])
        return answer("None of them can.") if last.endswith(", 3") else refusal("it is too long")

    server.reply = reply
    rows = [row for row in ask(MANY) if row.planner == "served"]
    assert [row.declined for row in rows] == [n == 3 for n in range(12)]
    assert [row.refused for row in rows] == [n != 3 for n in range(12)]
    assert "it is too long" in str(rows[0].problem)
    assert sorted(rows_in(tmp_path, "served"), key=place_of) == rows
    # A part of them, all refused, was written on purpose and is not asked again.
    ask(MANY[:3])
    assert len(server.asked) == 12


def place_of(row: Result) -> int:
    return [pair.id for pair in MANY].index(row.pair)
