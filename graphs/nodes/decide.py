"""Fifth step: good enough, worth another attempt, or over?"""

from __future__ import annotations

from langchain_core.messages import AIMessage

from graphs.context import run_context
from graphs.events import emitter
from graphs.request import DEFAULT_ATTEMPTS, DEFAULT_SECONDS
from graphs.state import Attempt, Candidate, DiffAgentState, Options, Outcome, Status


class DecideNode:
    """Ends the request with the best attempt, or lets it go on. The only place where a request ends."""

    def __init__(self, *, attempts: int = DEFAULT_ATTEMPTS, chooser: str = "the planner") -> None:
        """End after `attempts` unless request or run say how many; `chooser` is who says what to try next."""
        self._attempts = attempts
        self._chooser = chooser

    def __call__(self, state: DiffAgentState) -> DiffAgentState:
        """Fill `outcome` when the request is over."""
        status, reason = self._verdict(state)
        if status is None:
            return {"outcome": None}
        nearest = state["shortlist"]["nearest"] if status == "nothing_fits" else []
        outcome: Outcome = {"status": status, "reason": reason, "nearest": nearest}
        best = state["best"]
        emitter()({"event": "outcome", "status": status, "reason": reason, "best": best["n"] if best else None})
        return {"outcome": outcome, "messages": [AIMessage(_said(best, outcome))]}

    def _verdict(self, state: DiffAgentState) -> tuple[Status | None, str]:
        """How the request stands: its status and why, or no status while it goes on."""
        attempts = state["attempts"]
        if not attempts:
            return "nothing_fits", _refusal(state)
        if attempts[-1]["verdict"] == "ok":
            return "accepted", attempts[-1]["reason"]
        if (spent := _spent(attempts, *self._budget(state["options"]))) is None:
            if state["proposal"] is not None:
                return None, ""
            spent = f"{self._chooser} has nothing more to try"
        if state["best"] is not None:
            return "best_effort", f"{spent}; this is the best of {len(attempts)}"
        rejected = all(attempt["verdict"] == "rejected" for attempt in attempts)
        return ("rejected" if rejected else "failed"), f"{spent}; {attempts[-1]['reason']}"

    def _budget(self, options: Options) -> tuple[int, float]:
        """Most attempts and seconds: what the request says, else the run, else the graph."""
        run = run_context()
        return (
            options.get("max_attempts", run.max_attempts or self._attempts),
            options.get("max_seconds", run.max_seconds or DEFAULT_SECONDS),
        )


def _spent(attempts: list[Attempt], max_attempts: int, max_seconds: float) -> str | None:
    """Which part of the budget is used up, if any."""
    if len(attempts) >= max_attempts:
        return "no attempts left"
    seconds = sum(attempt["seconds"] for attempt in attempts)
    return f"{seconds:.0f} s of {max_seconds:.0f} s are used up" if seconds >= max_seconds else None


def _refusal(state: DiffAgentState) -> str:
    """Why nothing was tried: retrieval found nothing that fits, or the planner said so in words."""
    last = state["messages"][-1]
    if isinstance(last, AIMessage) and last.text.strip():
        return last.text.strip()
    return f"no model here can draw {state['request']!r}"


def _said(best: Attempt | None, outcome: Outcome) -> str:
    """The end of the request in a sentence, as the last message of the conversation."""
    if best is not None and best["reference"] is not None:
        return f"Drawn with {best['model']} in attempt {best['n']}: {best['reference']['path']} ({outcome['reason']})."
    if outcome["nearest"]:
        return f"Nothing fits: {outcome['reason']}. Nearest: {', '.join(_named(one) for one in outcome['nearest'])}."
    return f"Nothing was drawn: {outcome['reason']}."


def _named(one: Candidate) -> str:
    """A model as people read it."""
    return f"{one['name']} ({one['id']})"
