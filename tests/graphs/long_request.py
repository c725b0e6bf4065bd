"""A request of four attempts on a thread in a database, as a program: to be killed, and run again.

Usage: python -m tests.graphs.long_request FOLDER SECONDS_PER_STEP [POSTGRES]
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from langchain_core.runnables import RunnableConfig

from tests.graphs.kept_threads import kept_threads
from tests.graphs.paper_world import ANIMALS, PaperBackend, ScriptedPlanner, calling, paper_agent


def main(folder: Path, step_seconds: float, postgres: str | None = None) -> None:
    """Start the request, or go on with it; print its attempts."""
    backend = PaperBackend(folder / "drawn.log", levels=(0.1, 0.4, 0.2), step_seconds=step_seconds)
    config: RunnableConfig = {"configurable": {"thread_id": "long"}}
    with kept_threads(folder, postgres) as saver:
        agent = paper_agent(folder, backend, planner=ScriptedPlanner(answers=[calling(ANIMALS)]), checkpointer=saver)
        begun = bool(agent.get_state(config).values)
        asked = None if begun else {"request": "a fox", "options": {"max_attempts": 4}}
        state = agent.invoke(asked, config, durability="sync")
    print(json.dumps({"attempts": state["attempts"], "best": state["best"]["n"], "status": state["outcome"]["status"]}))  # noqa: T201


if __name__ == "__main__":
    main(Path(sys.argv[1]), float(sys.argv[2]), *sys.argv[3:])
