"""Critics: who says, between two attempts at one picture, what to change."""

from __future__ import annotations

import json
import logging
import re
from base64 import b64encode
from collections.abc import Sequence
from typing import Protocol, cast, runtime_checkable

from langchain_core.exceptions import OutputParserException
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import HumanMessage, SystemMessage
from langchain_core.messages.content import create_image_block, create_text_block
from pydantic import BaseModel, Field, ValidationError
from typing_extensions import TypedDict

from diffagent_tools.artifacts import ArtifactStore
from graphs.state import Attempt, JsonDict
from tool_specs.calls import MAX_PROMPT
from tool_specs.families import FAMILIES
from tool_specs.prompts import positive_prompt

log = logging.getLogger(__name__)

GUIDE = (
    "You are the critic of an image model. A person asked for a picture; you see the attempts so far with their "
    "rewards (higher is better), and the best picture where one is attached. Say what to change in the best attempt: "
    "a better prompt, other parameters. Set denoising_strength to begin from the best picture (0.3 keeps its "
    "composition and redraws details, 0.7 redraws much), or leave it null to draw anew when the composition is wrong. "
    "Null leaves a parameter as it is. Set done when the best picture shows what was asked for and cannot be improved."
)


class Revision(TypedDict):
    """What to do differently in the next attempt."""

    changes: JsonDict
    """Arguments of the best attempt, or of the last one where none has a picture, to change."""
    denoising_strength: float | None
    """How much of the best picture to draw anew; `None` draws from nothing."""
    why: str


@runtime_checkable
class Critic(Protocol):
    """Changes prompt and parameters between attempts."""

    def revise(self, request: str, attempts: Sequence[Attempt], best: Attempt | None) -> Revision | None:
        """What to change.

        Args:
            request: What the picture should show.
            attempts: All so far, at least one.
            best: The one to go on from; `None` while none has a sound picture.

        Returns:
            The next attempt; `None` when there is nothing more to try.
        """
        ...


class Plan(TypedDict):
    """One way to go on from the best picture."""

    strength: float | None
    steps: float
    cfg_scale: float
    why: str


PLANS: tuple[Plan, ...] = (
    {"strength": 0.6, "steps": 1.25, "cfg_scale": 1.0, "why": "redraws the best picture in more steps"},
    {"strength": 0.8, "steps": 1.25, "cfg_scale": 1.25, "why": "redraws more of the best picture, nearer to the words"},
    {"strength": 0.4, "steps": 1.5, "cfg_scale": 0.85, "why": "keeps more of the best picture, with a freer hand"},
    {"strength": None, "steps": 1.5, "cfg_scale": 1.0, "why": "the best picture leads nowhere: begins from nothing"},
)
"""What is tried 1, 2, … attempts after the best one; factors on that one's steps and cfg scale."""
AFTER_FAULT: Plan = {"strength": None, "steps": 1.5, "cfg_scale": 0.75, "why": "begins from nothing with less guidance"}


class RuleCritic:
    """Reads rewards and faults, and needs no language model.

    A better picture is begun from at once; the longer nothing better comes, the further the next attempt strays. Words
    of the request that are missing in the prompt are put into it, where the model understands any word. After the same
    fault twice, with no picture at all, it gives up.
    """

    def revise(self, request: str, attempts: Sequence[Attempt], best: Attempt | None) -> Revision | None:
        """What to change; see `Critic.revise`."""
        last = attempts[-1]
        if best is None and [attempt["reason"] for attempt in attempts[-2:]] == [last["reason"]] * 2:
            return None
        base = best or last
        plan = AFTER_FAULT if best is None else PLANS[(len(attempts) - best["n"]) % len(PLANS)]
        fault = f"{last['reason'] or last['verdict']}: " if last["verdict"] in ("fault", "rejected") else ""
        changes = _numbers(base, plan) | _words(request, base)
        return {"changes": changes, "denoising_strength": plan["strength"], "why": f"{fault}{plan['why']}"}


class Critique(BaseModel):
    """What a critic says about the best attempt."""

    done: bool = Field(description="Whether the best picture needs no change.")
    why: str = Field(description="What is wrong with the best picture, and what the change is for.")
    prompt: str | None = Field(description="The new prompt; null to keep it.")
    negative_prompt: str | None = Field(description="What should not be in the picture; null to keep it.")
    steps: int | None = Field(description="Denoising steps; null to keep them.")
    cfg_scale: float | None = Field(description="How closely to follow the prompt; null to keep it.")
    denoising_strength: float | None = Field(description="0 to 1 to begin from the best picture; null to draw anew.")


_PARAMETERS = ("prompt", "negative_prompt", "steps", "cfg_scale")
_MAX_WHY = 400


class ChatCritic:
    """Lets a chat model say what to change; where its answer is of no use, `RuleCritic` speaks in its place."""

    def __init__(self, model: BaseChatModel, *, store: ArtifactStore | None = None) -> None:
        """Ask a model.

        Args:
            model: It must support structured output.
            store: Where the pictures are, for a model that reads images: it is shown the best one. Without, it reads
                only calls, rewards and faults.
        """
        self._model = model.with_structured_output(Critique)
        self._store = store

    def revise(self, request: str, attempts: Sequence[Attempt], best: Attempt | None) -> Revision | None:
        """What to change; see `Critic.revise`."""
        if (answer := self._answer(self._question(request, attempts, best))) is None:
            log.warning("the chat model wrote no critique; the rules go on")
            return RuleCritic().revise(request, attempts, best)
        if answer.done and best is not None:
            return None
        changes = {name: value for name in _PARAMETERS if (value := getattr(answer, name)) is not None}
        strength = answer.denoising_strength if best is not None else None
        return {"changes": changes, "denoising_strength": strength, "why": " ".join(answer.why.split())[:_MAX_WHY]}

    def _answer(self, question: HumanMessage) -> Critique | None:
        """What the model says; `None` where that is no critique."""
        try:
            answer = self._model.invoke([SystemMessage(GUIDE), question])
        except (OutputParserException, ValidationError):
            return None
        return answer if isinstance(answer, Critique) else None

    def _question(self, request: str, attempts: Sequence[Attempt], best: Attempt | None) -> HumanMessage:
        told = [_told(attempt) for attempt in attempts]
        text = json.dumps({"request": request, "best": best["n"] if best else None, "attempts": told})
        if self._store is None or best is None or best["reference"] is None:
            return HumanMessage(text)
        data = b64encode(self._store.read(best["reference"]["sha256"])).decode()
        return HumanMessage(content_blocks=[create_text_block(text),
                                            create_image_block(base64=data, mime_type="image/png")])  # fmt: skip


def _told(attempt: Attempt) -> dict[str, object]:
    """What a chat model reads of an attempt."""
    given = attempt["call"] or attempt["arguments"]
    names = (*_PARAMETERS, "sampler", "denoising_strength")
    return {
        "n": attempt["n"],
        **{name: given[name] for name in names if name in given},
        "reward": attempt["reward"],
        "verdict": attempt["verdict"],
        "reason": attempt["reason"],
    }


def _numbers(base: Attempt, plan: Plan) -> JsonDict:
    """Steps and cfg scale of a plan, within what the family takes where the attempt says which that is."""
    given, changes = base["call"] or base["arguments"], cast("JsonDict", {})
    if isinstance(steps := given.get("steps"), int):
        changes["steps"] = round(steps * plan["steps"])
    if isinstance(cfg_scale := given.get("cfg_scale"), int | float):
        changes["cfg_scale"] = round(cfg_scale * plan["cfg_scale"], 2)
    if base["call"] is None:
        return changes
    family = FAMILIES[str(base["call"]["family"])]
    bounds = {"steps": (family.min_steps, family.max_steps), "cfg_scale": (family.min_cfg_scale, family.max_cfg_scale)}
    return {name: max(low, min(cast("float", changes[name]), high)) for name, (low, high) in bounds.items()}


def _words(request: str, base: Attempt) -> JsonDict:
    """A prompt that begins with the request, where most of its words are missing and the model knows any word."""
    call = base["call"]
    if call is None or FAMILIES[str(call["family"])].closed_vocabulary:
        return {}
    asked, prompt = positive_prompt(request), str(call["prompt"])
    words, known = (set(re.findall(r"\w+", text.casefold())) for text in (asked, prompt))
    return {"prompt": f"{asked}, {prompt}"[:MAX_PROMPT]} if len(words - known) > len(words) / 2 else {}
