"""The agent as one of several runs side by side: each tells its events under its own name and has a fate of its own."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from typing import cast

from langchain_core.runnables import RunnableConfig
from langgraph.errors import GraphBubbleUp
from typing_extensions import TypedDict

from graphs.agent import DiffAgentGraph
from graphs.context import stop_if_cancelled
from graphs.events import Emit, Event, emitter
from graphs.state import Attempt, DiffAgentInput, DiffAgentState, Options, Outcome
from tool_specs.command_line import FAULT_OF_OURS, exit_code, one_line
from tool_specs.exceptions import DrawingCancelled

log = logging.getLogger(__name__)


class Branch(TypedDict):
    """What came of one run of the agent."""

    best: Attempt | None
    attempts: list[Attempt]
    outcome: Outcome


class AgentBranch:
    """Runs the agent for one part of a bigger graph, from inside one of its nodes.

    As a sub-graph it keeps its place in the checkpoints of the bigger graph: after a crash, finished attempts are not
    drawn again. A fault ends this branch alone, with what it had drawn until then; that the caller stops the run, or
    that a person is asked something, concerns all of them.
    """

    def __init__(self, agent: DiffAgentGraph) -> None:
        """Run this agent; it must have no checkpointer of its own."""
        self._agent = agent

    def run(self, name: str, request: str, options: Options, config: RunnableConfig) -> Branch:
        """Bring one request to its end.

        Args:
            name: What its events carry as `branch`.
            request: What to draw.
            options: What is fixed for it.
            config: That of the node which runs it.

        Raises:
            DrawingCancelled: The caller asked to stop.
        """
        stop_if_cancelled()
        given, followed = _given(request, options), _Followed(name, emitter())
        try:
            for mode, chunk in self._agent.stream(given, config, stream_mode=["custom", "values"]):
                followed.take(mode, chunk)
        except (DrawingCancelled, GraphBubbleUp):
            raise
        except Exception as fault:  # noqa: BLE001 - whatever it is, the other branches go on
            return followed.failed(fault)
        return followed.finished()

    async def arun(self, name: str, request: str, options: Options, config: RunnableConfig) -> Branch:
        """The same with the agent's own async path."""
        stop_if_cancelled()
        given, followed = _given(request, options), _Followed(name, emitter())
        try:
            async for mode, chunk in self._agent.astream(given, config, stream_mode=["custom", "values"]):
                followed.take(mode, chunk)
        except (DrawingCancelled, GraphBubbleUp):
            raise
        except Exception as fault:  # noqa: BLE001 - whatever it is, the other branches go on
            return followed.failed(fault)
        return followed.finished()


def joint_outcome(branches: Iterable[Branch], *, told: str) -> Outcome:
    """How several branches ended together.

    Args:
        branches: All of them, the ones whose words count most first.
        told: What is said where there is a picture.

    Returns:
        "accepted" where every branch was, "best_effort" where some have a picture, else how the first one ended.
    """
    ends = [(branch["best"], branch["outcome"]) for branch in branches]
    drawn = [outcome for best, outcome in ends if best is not None]
    if not drawn:
        return ends[0][1]
    accepted = len(drawn) == len(ends) and all(outcome["status"] == "accepted" for outcome in drawn)
    return {"status": "accepted" if accepted else "best_effort", "reason": told, "nearest": []}


class _Followed:
    """A run of the agent as it is seen from the node that runs it."""

    def __init__(self, name: str, emit: Emit) -> None:
        self._name = name
        self._emit = emit
        self._state: DiffAgentState = {}

    def take(self, mode: object, chunk: object) -> None:
        """Pass an event on under the branch's name; remember the state."""
        if mode == "custom":
            self._emit({"branch": self._name, **cast("Event", chunk)})
        else:
            self._state = cast("DiffAgentState", chunk)

    def finished(self) -> Branch:
        """The branch at its end."""
        outcome = self._state["outcome"]
        if outcome is None:
            msg = f"the branch {self._name!r} ended without an outcome"
            raise RuntimeError(msg)
        return {"best": self._state["best"], "attempts": self._state["attempts"], "outcome": outcome}

    def failed(self, fault: Exception) -> Branch:
        """The branch with what it had until the fault."""
        level = logging.ERROR if exit_code(fault) == FAULT_OF_OURS else logging.DEBUG
        log.log(level, "the branch %r failed", self._name, exc_info=fault)
        best = self._state.get("best")
        status, reason = ("best_effort" if best else "failed"), one_line(fault)
        self._emit({"branch": self._name, "event": "outcome", "status": status, "reason": reason,
                    "best": best["n"] if best else None})  # fmt: skip
        outcome = cast("Outcome", {"status": status, "reason": reason, "nearest": []})
        return {"best": best, "attempts": self._state.get("attempts", []), "outcome": outcome}


def _given(request: str, options: Options) -> DiffAgentInput:
    return {"request": request, "options": options}
