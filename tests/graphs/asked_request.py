"""A request that asks a person before it draws, as a program: asked in one process, answered in another.

Usage: python -m tests.graphs.asked_request FOLDER POSTGRES [DECISION]; POSTGRES may be empty, for SQLite.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from langchain_core.runnables import RunnableConfig
from langgraph.types import Command

from tests.graphs.kept_threads import kept_threads
from tests.graphs.paper_world import ANIMALS, PaperBackend, ScriptedPlanner, calling, paper_agent


def main(folder: Path, postgres: str, decision: str | None = None) -> None:
    """Ask, or answer; print the questions, and the call of the best attempt."""
    backend, planner = PaperBackend(folder / "drawn.log"), ScriptedPlanner(answers=[calling(ANIMALS)])
    config: RunnableConfig = {"configurable": {"thread_id": "asked"}}
    given = {"request": "a fox"} if decision is None else Command(resume=json.loads(decision))
    with kept_threads(folder, postgres or None) as saver:
        agent = paper_agent(folder, backend, planner=planner, checkpointer=saver, approve=True)
        output = agent.invoke(given, config, version="v2")
    best = output.value.get("best")
    questions = [question.value for question in output.interrupts]
    print(json.dumps({"questions": questions, "call": best and best["call"]}))  # noqa: T201


if __name__ == "__main__":
    main(Path(sys.argv[1]), *sys.argv[2:])
