"""Before a picture is drawn, if so wished: a person approves the call, edits it, or rejects it.

The question is a node of its own: a resumed node runs again from its start, and neither the planner's answer nor a
drawing may happen twice.
"""

from __future__ import annotations

from typing import Literal, Required, cast

from langgraph.types import interrupt
from pydantic import ConfigDict, JsonValue, with_config
from typing_extensions import TypedDict

from graphs.context import run_context, stop_if_cancelled
from graphs.pins import at_final_size, call_of
from graphs.said import saying
from graphs.state import DiffAgentState, JsonDict, Options, Proposal, not_drawn, proposed
from tool_specs.calls import start_of, starting_from
from tool_specs.catalog import AnyCatalog
from tool_specs.exceptions import CallError


@with_config(ConfigDict(extra="forbid"))
class Decision(TypedDict, total=False):
    """What a person answers: `graph.invoke(Command(resume={"type": "approve"}), config)`."""

    type: Required[Literal["approve", "edit", "reject"]]
    arguments: dict[str, JsonValue]
    """With `edit`: the arguments to change; those not named stay as proposed."""
    message: str
    """With `reject`: why; the planner reads it before it proposes something else."""


class Question(TypedDict):
    """What a person is asked: the value of the interrupt."""

    attempt: int
    tool: str
    model: str | None
    arguments: JsonDict
    problem: str | None
    """What is wrong with the last edit, when this is asked again because of it."""


class ApproveNode:
    """Asks a person before each picture where that is wanted. That needs a checkpointer, here or in a parent."""

    def __init__(self, catalog: AnyCatalog, *, always: bool) -> None:
        """Edits are checked against the specs of this catalog; `always` asks whatever run and request say."""
        self._catalog = catalog
        self._always = always

    def __call__(self, state: DiffAgentState) -> DiffAgentState:
        """Leave the proposal as it is, change its arguments, or put a rejected drawing in its place."""
        stop_if_cancelled()
        proposal = proposed(state)
        # Who answers need not say once more that questions are wanted: the answer would be lost.
        wanted = (
            self._always
            or proposal.get("ask", False)
            or run_context().approve
            or state["options"].get("approve", False)
        )
        if proposal["call"] is None or not wanted:
            return {}
        n, problem = len(state["attempts"]) + 1, None
        while True:
            decision = _asked(proposal, n, problem)
            match decision["type"]:
                case "approve":
                    return {}
                case "reject":
                    return {"drawn": not_drawn(_reason(decision), rejected=True)}
                case "edit":
                    try:
                        edited = self._edited(proposal, decision.get("arguments", {}), state["options"])
                    except CallError as error:
                        problem = str(error)
                        continue
                    return {"proposal": edited, "messages": [saying(state["messages"][-1], edited)]}

    def _edited(self, proposal: Proposal, changes: JsonDict, options: Options) -> Proposal:
        """The proposal with a person's arguments.

        Raises:
            CallError: The edited call is not valid.
        """
        spec = self._catalog.get(cast("str", proposal["model"]))
        arguments = {**proposal["arguments"], **changes}
        call, start = call_of(spec, arguments, options), start_of(proposal["call"] or {})
        if start is not None:
            call = starting_from(at_final_size(call), *start)
        return {**proposal, "arguments": arguments, "call": call.model_dump(mode="json")}


def _asked(proposal: Proposal, n: int, problem: str | None) -> Decision:
    """A person's decision about one call."""
    question: Question = {
        "attempt": n,
        "tool": proposal["tool"],
        "model": proposal["model"],
        "arguments": proposal["arguments"],
        "problem": problem,
    }
    return interrupt(question, response_schema=Decision)


def _reason(decision: Decision) -> str:
    """Why a person did not want this call, for the planner to read."""
    message = " ".join(decision.get("message", "").split())
    return f"a person rejected this call: {message}" if message else "a person rejected this call"
