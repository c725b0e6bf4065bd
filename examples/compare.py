"""One request drawn by several models side by side: `python -m examples.compare "a cat at sunset"`."""

from __future__ import annotations

import sys

from diffagent_tools import DiffAgentToolkit, UnifiedReward
from graphs import create_compare


def main() -> None:
    """Compare, then print the models best first and where the contact sheet is."""
    request = " ".join(sys.argv[1:]) or "a cat on a yellow background"
    parts = DiffAgentToolkit.pocket()
    graph = create_compare(
        catalog=parts.catalog,
        shortlister=parts.shortlister,
        backend=parts.backend,
        reward=UnifiedReward.pocket(),
        store=parts.store,
        models=3,
    )
    # Only one pocket model knows a word; `force` lets those that are merely near draw as well.
    state = graph.invoke({"request": request, "options": {"seed": 7, "force": True}})
    for place, one in enumerate(state["ranking"], start=1):
        reward = "no picture" if one["reward"] is None else f"reward {one['reward']:.2f}"
        print(f"{place}. {one['model']['name']}: {reward}")
    if state["sheet"]:
        print(state["sheet"]["path"])


if __name__ == "__main__":
    main()
