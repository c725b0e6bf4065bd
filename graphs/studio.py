"""The agent as LangGraph's own server and Studio open it; `langgraph.json` names this factory.

The server brings a checkpointer of its own, so the graph has none.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from graphs.agent import DiffAgentGraph


def make_graph() -> DiffAgentGraph:
    """The agent over the pocket world."""
    from graphs.workshop import Workshop

    return Workshop().graph()
