"""LangGraph: the agent that turns a request into the best picture of it, and the `diffagent` command."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from graphs.agent import create_diffagent
    from graphs.compare import create_compare
    from graphs.context import DiffAgentContext
    from graphs.nodes.approve import Decision
    from graphs.refine import create_refine
    from graphs.state import Attempt, DiffAgentState, Options, Outcome
    from graphs.storyboard import create_storyboard

__all__ = [
    "Attempt",
    "Decision",
    "DiffAgentContext",
    "DiffAgentState",
    "Options",
    "Outcome",
    "create_compare",
    "create_diffagent",
    "create_refine",
    "create_storyboard",
]

_LAZY = {
    "Attempt": "graphs.state",
    "Decision": "graphs.nodes.approve",
    "DiffAgentContext": "graphs.context",
    "DiffAgentState": "graphs.state",
    "Options": "graphs.state",
    "Outcome": "graphs.state",
    "create_compare": "graphs.compare",
    "create_diffagent": "graphs.agent",
    "create_refine": "graphs.refine",
    "create_storyboard": "graphs.storyboard",
}


def __getattr__(name: str) -> object:
    if name not in _LAZY:
        msg = f"module {__name__!r} has no attribute {name!r}"
        raise AttributeError(msg)
    return getattr(import_module(_LAZY[name]), name)
