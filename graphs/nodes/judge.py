"""Fourth step: what is the picture worth?"""

from __future__ import annotations

import json
from time import monotonic

from langchain_core.messages import ToolMessage
from PIL.Image import Image

from diffagent_tools.artifacts import ArtifactStore
from diffagent_tools.rewards.faults import find_fault
from diffagent_tools.rewards.protocol import Reward
from diffagent_tools.rewards.unified import reward_and_parts
from graphs.context import run_context
from graphs.events import emitter
from graphs.state import Attempt, DiffAgentState, Drawn, ImageReference, proposed
from tool_specs.calls import parse_call
from tool_specs.families import FAMILIES


class JudgeNode:
    """Scores the last picture, closes the attempt, and keeps the best one so far.

    What the planner reads of it is one short JSON document per attempt: what was drawn, its reward and the verdict.
    """

    def __init__(self, store: ArtifactStore, reward: Reward, *, threshold: float) -> None:
        """A picture whose reward reaches `threshold` is good enough, where the run does not say otherwise."""
        self._store = store
        self._reward = reward
        self._threshold = threshold

    def __call__(self, state: DiffAgentState) -> DiffAgentState:
        """Fill `attempts` and `best`, and answer the planner's tool call."""
        proposal, drawn = proposed(state), state["drawn"]
        if drawn is None:
            msg = "there is nothing to judge: the graph went on although nothing was drawn or refused"
            raise RuntimeError(msg)
        started = monotonic()
        attempt = _attempt(state, drawn)
        if drawn["reference"] is not None:
            self._judge(attempt, drawn["reference"], state["request"])
        attempt["seconds"] = round(drawn["seconds"] + monotonic() - started, 3)
        emitter()({"event": "attempt", "attempt": attempt["n"], **attempt})
        answer = ToolMessage(
            json.dumps(_told(attempt)),
            tool_call_id=proposal["id"],
            name=proposal["tool"],
            status="error" if drawn["problem"] else "success",
            artifact=drawn["reference"],
        )
        attempts = [*state["attempts"], attempt]
        return {"messages": [answer], "attempts": attempts, "best": _best(attempts), "drawn": None}

    def _judge(self, attempt: Attempt, reference: ImageReference, request: str) -> None:
        """Fill the reward and the verdict of an attempt that has a picture."""
        image = self._store.open(reference)
        call = parse_call(attempt["call"] or {})
        # A model with a closed vocabulary, and the reward trained with it, know the words of the call and no others.
        reward, scores = self._scored(image, call.prompt if FAMILIES[call.family].closed_vocabulary else request)
        attempt["reward"], attempt["scores"] = reward, scores
        threshold = run_context().threshold
        threshold = self._threshold if threshold is None else threshold
        width, height = call.final_size
        fault = find_fault(image, width=width, height=height)
        if fault is not None:
            attempt["verdict"], attempt["reason"] = "fault", fault
        elif reward >= threshold:
            attempt["verdict"], attempt["reason"] = "ok", f"reward {reward:.2f} reaches {threshold:.2f}"
        else:
            attempt["verdict"], attempt["reason"] = "poor", f"reward {reward:.2f} is below {threshold:.2f}"

    def _scored(self, image: Image, text: str) -> tuple[float, dict[str, float]]:
        """The reward of a picture, and the score of each reward that is combined in it on its own scale."""
        reward, raw = reward_and_parts(self._reward, image, text)
        return round(reward, 4), {name: round(score, 4) for name, score in raw.items()}


def _attempt(state: DiffAgentState, drawn: Drawn) -> Attempt:
    """An attempt as it stands before its picture is judged."""
    proposal = proposed(state)
    return {
        "n": len(state["attempts"]) + 1,
        "model": proposal["model"],
        "tool": proposal["tool"],
        "arguments": proposal["arguments"],
        "call": drawn["call"],
        "reference": drawn["reference"],
        "reward": None,
        "scores": {},
        "verdict": "rejected" if drawn["rejected"] else "fault",
        "reason": drawn["problem"] or "",
        "seconds": drawn["seconds"],
    }


def _told(attempt: Attempt) -> dict[str, object]:
    """What the planner reads of an attempt."""
    told: dict[str, object] = {"attempt": attempt["n"]}
    told |= {key: attempt[key] for key in ("reward", "verdict", "reason")}
    if attempt["reference"] is not None and attempt["call"] is not None:
        reference, call = attempt["reference"], attempt["call"]
        told |= {"model": attempt["model"], "seed": call["seed"], "size": f"{reference['width']}x{reference['height']}"}
        told |= {"image": reference["sha256"], "path": reference["path"]}
    return told


def _best(attempts: list[Attempt]) -> Attempt | None:
    """The attempt with the highest reward; the earlier of two equals, and never a faulty picture."""
    sound = [attempt for attempt in attempts if attempt["verdict"] in ("ok", "poor")]
    return max(sound, key=lambda attempt: attempt["reward"] or 0.0, default=None)
