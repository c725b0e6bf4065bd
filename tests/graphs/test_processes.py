"""A request goes on in another process, whatever database keeps it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from langchain_core.runnables import RunnableConfig
from langgraph.types import Command

from tests.graphs.paper_world import ANIMALS, PaperBackend, ScriptedPlanner, calling, paper_agent
from tests.graphs.postgres_server import postgres_programs, postgres_server
from tests.killed_process import kill_after, started


@pytest.fixture(scope="module")
def postgres() -> Iterator[str]:
    pytest.importorskip("langgraph.checkpoint.postgres", reason="needs langgraph-checkpoint-postgres and psycopg")
    programs = postgres_programs()
    if programs is None:
        pytest.skip("needs PostgreSQL's initdb and pg_ctl: apt-get install postgresql")
    with postgres_server(programs) as connection:
        yield connection


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=pytest.mark.slow)])
def database(request: pytest.FixtureRequest) -> str:
    """What the programs are told: a connection string, or nothing for SQLite."""
    return str(request.getfixturevalue("postgres")) if request.param == "postgres" else ""


def ran(module: str, *arguments: object) -> dict[str, Any]:
    """What a program printed."""
    process = started(module, *arguments)
    output, _ = process.communicate(timeout=120)
    assert process.returncode == 0
    return dict(json.loads(output))


def test_after_kill_9_finished_attempts_are_not_drawn_again(tmp_path: Path, database: str) -> None:
    log, told = tmp_path / "drawn.log", [database] if database else []
    kill_after(started("tests.graphs.long_request", tmp_path, 0.4, *told), log, 3, seconds=120)

    result = ran("tests.graphs.long_request", tmp_path, 0.0, *told)
    assert [attempt["n"] for attempt in result["attempts"]] == [1, 2, 3, 4]
    assert result["status"] == "best_effort"
    assert result["best"] == 2
    # Three drawings were begun before the kill; the third had to be drawn again.
    assert len(log.read_text().splitlines()) == 5


def test_a_question_is_answered_with_an_edit_in_another_process(tmp_path: Path, database: str) -> None:
    asked = ran("tests.graphs.asked_request", tmp_path, database)
    assert [question["arguments"]["prompt"] for question in asked["questions"]] == ["a fox"]
    assert asked["call"] is None
    assert not (tmp_path / "drawn.log").exists()

    decision = {"type": "edit", "arguments": {"prompt": "a red fox", "steps": 7, "seed": 11}}
    answered = ran("tests.graphs.asked_request", tmp_path, database, json.dumps(decision))
    assert answered["questions"] == []
    assert (answered["call"]["prompt"], answered["call"]["steps"]) == ("a red fox", 7)
    assert (tmp_path / "drawn.log").read_text().splitlines() == [f"{ANIMALS} 11"]


@pytest.mark.slow
async def test_threads_in_postgres_work_async_too(tmp_path: Path, postgres: str) -> None:
    from langgraph.checkpoint.postgres.aio import AsyncPostgresSaver

    backend, planner = PaperBackend(tmp_path / "drawn.log"), ScriptedPlanner(answers=[calling(ANIMALS)])
    config: RunnableConfig = {"configurable": {"thread_id": "async"}}
    for given in ({"request": "a fox"}, Command(resume={"type": "approve"})):
        async with AsyncPostgresSaver.from_conn_string(postgres) as saver:
            await saver.setup()
            agent = paper_agent(tmp_path, backend, planner=planner, checkpointer=saver, approve=True)
            output = await agent.ainvoke(given, config, version="v2")
    assert output.value["outcome"]["status"] == "accepted"
    assert len(backend.drawn) == 1
