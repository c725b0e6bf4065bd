"""An evaluation of two planners with pictures, as a program: to be killed, and run again.

Usage: python -m tests.finetune.dabench.long_evaluation FOLDER SECONDS_PER_STEP
"""

from __future__ import annotations

import sys
from pathlib import Path

from finetune.dabench.baselines import PopularityPlanner
from finetune.dabench.drawing import Studio
from finetune.dabench.evaluation import Planner, evaluate
from tests.finetune.dabench.paper_pairs import paper_pairs
from tests.finetune.dabench.scripted import Scripted, calling
from tests.graphs.paper_world import CATALOG, FOOD, BrightnessReward, PaperBackend, WordEmbedder
from tool_specs.search.shortlist import Shortlister


def main(folder: Path, step_seconds: float) -> None:
    """Evaluate, or go on with it; print the number of rows."""
    shortlister = Shortlister(CATALOG, WordEmbedder())
    first = paper_pairs()[0]
    pairs = [first.model_copy(update={"id": f"test-{n}"}) for n in range(6)]
    planners = [
        Planner("popularity", PopularityPlanner(catalog=CATALOG, shortlister=shortlister, pairs=pairs)),
        Planner("scripted", Scripted(answers=[calling(CATALOG.get(FOOD).tool_name)])),
    ]
    backend = PaperBackend(folder / "drawn.log", step_seconds=step_seconds)
    studio = Studio(backend, BrightnessReward(), folder)
    print(len(evaluate(pairs, planners, shortlister, folder, studio=studio)))  # noqa: T201


if __name__ == "__main__":
    main(Path(sys.argv[1]), float(sys.argv[2]))
