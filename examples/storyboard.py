"""A story as pictures in one style: `python -m examples.storyboard "A fox in the snow. A pear. Style: sepia."`."""

from __future__ import annotations

import sys

from diffagent_tools import DiffAgentToolkit, UnifiedReward
from graphs import create_storyboard


def main() -> None:
    """Draw the story, then print each shot and where the sheet is."""
    story = " ".join(sys.argv[1:]) or "A bear in a forest. A fox in the snow. An owl at night. Style: watercolor."
    parts = DiffAgentToolkit.pocket()
    graph = create_storyboard(
        catalog=parts.catalog,
        shortlister=parts.shortlister,
        backend=parts.backend,
        reward=UnifiedReward.pocket(),
        store=parts.store,
    )
    state = graph.invoke({"request": story, "options": {"max_attempts": 2}})
    for panel in state["panels"]:
        print(f"{panel['shot']['n']}. {panel['shot']['request']}: {panel['outcome']['status']}")
    if state["sheet"]:
        print(state["sheet"]["path"])


if __name__ == "__main__":
    main()
