"""The graphs as LangGraph's own server and Studio open them; `langgraph.json` names these factories.

The server brings a checkpointer of its own, so the graphs have none. It asks for a graph with each run and each look at
a thread, on its event loop, where nothing may block: so a graph is made once, in a thread, and all share one workshop.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, TypeVar

from graphs.workshop import Workshop

if TYPE_CHECKING:
    from graphs.agent import DiffAgentGraph
    from graphs.compare import CompareGraph
    from graphs.refine import RefineGraph
    from graphs.storyboard import StoryboardGraph

Graph = TypeVar("Graph")

_workshop = Workshop()
_made: dict[object, object] = {}
_making = threading.Lock()


async def make_graph() -> DiffAgentGraph:
    """The agent over the pocket world."""
    return await asyncio.to_thread(_once, Workshop.graph)


async def make_compare() -> CompareGraph:
    """One request drawn by several models, over the pocket world."""
    return await asyncio.to_thread(_once, Workshop.compare)


async def make_storyboard() -> StoryboardGraph:
    """A story as pictures in one style, over the pocket world."""
    return await asyncio.to_thread(_once, Workshop.storyboard)


async def make_refine() -> RefineGraph:
    """A picture made better step by step, over the pocket world."""
    return await asyncio.to_thread(_once, Workshop.refine)


def _once(make: Callable[[Workshop], Graph]) -> Graph:
    """What `make` makes of the workshop, the same at each call."""
    with _making:
        if make not in _made:
            _made[make] = make(_workshop)
        return _made[make]  # type: ignore[return-value]
