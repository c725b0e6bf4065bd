"""LangGraph: the agent that turns a request into the best picture of it, and the `diffagent` command."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from graphs.agent import create_diffagent
    from graphs.context import DiffAgentContext
    from graphs.nodes.approve import Decision
    from graphs.state import Attempt, DiffAgentState, Options, Outcome

__all__ = ["Attempt", "Decision", "DiffAgentContext", "DiffAgentState", "Options", "Outcome", "create_diffagent"]

_LAZY = {
    "Attempt": "graphs.state",
    "Decision": "graphs.nodes.approve",
    "DiffAgentContext": "graphs.context",
    "DiffAgentState": "graphs.state",
    "Options": "graphs.state",
    "Outcome": "graphs.state",
    "create_diffagent": "graphs.agent",
}


def __getattr__(name: str) -> object:
    if name not in _LAZY:
        msg = f"module {__name__!r} has no attribute {name!r}"
        raise AttributeError(msg)
    return getattr(import_module(_LAZY[name]), name)
