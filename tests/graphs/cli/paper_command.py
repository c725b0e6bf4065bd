"""The `diffagent` command over the paper world, as a program: for tests that need signals.

Usage: LOG=FILE STEP_SECONDS=0.1 LEVELS=0.2,0.9 python -m tests.graphs.cli.paper_command draw "a fox"
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path

from graphs import workshop
from graphs.cli.main import main
from graphs.workshop import Workshop
from tests.graphs.paper_world import CATALOG, BrightnessReward, PaperBackend, WordEmbedder
from tool_specs.search.shortlist import Shortlister


def furnish(put: Callable[[object, str, object], None], backend: PaperBackend) -> None:
    """Put the paper world into the workshop; what search ranks first plans, as the pocket planner knows no paper."""
    put(workshop, "DEFAULT_PLANNER", "retrieval")
    put(Workshop, "catalog", CATALOG)
    put(Workshop, "embedder", WordEmbedder())
    put(Workshop, "shortlister", Shortlister(CATALOG, WordEmbedder()))
    put(Workshop, "backend", backend)
    put(Workshop, "reward", BrightnessReward())


if __name__ == "__main__":
    levels = tuple(float(level) for level in os.environ.get("LEVELS", "0.9").split(","))
    slow = PaperBackend(Path(os.environ["LOG"]), levels=levels, step_seconds=float(os.environ.get("STEP_SECONDS", "0")))
    furnish(setattr, slow)
    sys.exit(main())
