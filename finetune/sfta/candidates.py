"""Candidate calls for one request: what the planner would do, and what else could be tried."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal, cast

import numpy as np
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, HumanMessage

from diffagent_tools.planning import Reading, conversation, read_answer
from diffagent_tools.tools.generation import tool_names, tool_schemas
from finetune.sfta.samples import calling, declining
from tool_specs.families import FAMILIES
from tool_specs.search.shortlist import Shortlist

Source = Literal["gold", "greedy", "retrieval", "sampled", "other model", "recommended", "perturbed", "refusal"]

CFG_FACTORS = (0.5, 0.7, 1.4)
STEP_FACTORS = (0.6, 0.8, 1.25)
WEIGHT_SHIFTS = (-0.3, -0.2, 0.2, 0.3)


@dataclass(frozen=True, slots=True)
class Candidate:
    """One answer to a request.

    Attributes:
        source: Where it comes from.
        answer: The message, as a planner would have given it.
        reading: What it means.
    """

    source: Source
    answer: AIMessage
    reading: Reading


@dataclass(frozen=True, slots=True)
class Variety:
    """How many candidates there are besides those that there always are.

    Attributes:
        sampled: Answers to sample.
        perturbed: Variants of the planner's own call.
        temperature: Of the samples.
    """

    sampled: int
    perturbed: int
    temperature: float


def candidates(
    planner: BaseChatModel,
    retrieval: BaseChatModel,
    request: str,
    shortlist: Shortlist,
    rng: np.random.Generator,
    *,
    gold: Mapping[str, Any] | None,
    variety: Variety,
) -> list[Candidate]:
    """Answers that differ: the gold call, the planner's own, retrieval's, other samples, other models and parameters.

    Args:
        planner: Takes `temperature` per call.
        retrieval: Plans without a language model; what it does better, alignment can learn from it.
        request: What a person asked for.
        shortlist: What is on offer.
        rng: Where chance comes from.
        gold: The call from the data, as JSON; None for what nothing draws.
        variety: How many there are.

    Returns:
        The candidates, each call once (seeds aside), with the refusal last.
    """
    found: list[Candidate] = []
    seen: set[str] = set()
    for source, answer in _answers(planner, retrieval, request, shortlist, rng, gold, variety):
        reading = read_answer(answer, shortlist)
        if reading.call is None:
            continue
        key = reading.call.model_copy(update={"seed": None}).model_dump_json()
        if key not in seen:
            seen.add(key)
            found.append(Candidate(source, answer, reading))
    refusal = declining()
    return [*found, Candidate("refusal", refusal, read_answer(refusal, shortlist))]


def _answers(
    planner: BaseChatModel,
    retrieval: BaseChatModel,
    request: str,
    shortlist: Shortlist,
    rng: np.random.Generator,
    gold: Mapping[str, Any] | None,
    variety: Variety,
) -> Iterator[tuple[Source, AIMessage]]:
    tools, names = tool_schemas(shortlist), tool_names(shortlist)
    messages = conversation([HumanMessage(request)])
    if gold is not None and (tool := names.get(gold["checkpoint"])):
        yield "gold", calling(tool, arguments_of(gold))
    own = planner.bind_tools(tools).invoke(messages)
    yield "greedy", own
    yield "retrieval", retrieval.bind_tools(tools).invoke(messages)
    for _ in range(variety.sampled):
        sampling = planner.bind_tools(tools, temperature=variety.temperature, seed=_seed(rng))
        yield "sampled", sampling.invoke(messages)
    others = [name for name in names.values() if not own.tool_calls or name != own.tool_calls[0]["name"]]
    if others:
        other = str(rng.choice(others))
        yield "other model", planner.bind_tools(tools, tool_choice=other, seed=_seed(rng)).invoke(messages)
    reading = read_answer(own, shortlist)
    if reading.call is None or reading.asked is None or reading.asked.spec is None:
        return
    base, spec = arguments_of(reading.call.model_dump(mode="json")), reading.asked.spec
    best = spec.recommended
    usual = {"sampler": best.sampler, "steps": round(best.steps.median), "cfg_scale": float(best.cfg_scale.median)}
    yield "recommended", calling(reading.asked.tool, base | usual)
    for _ in range(variety.perturbed):
        yield "perturbed", calling(reading.asked.tool, _perturbed(base, spec.family, rng))


def arguments_of(call: Mapping[str, Any]) -> dict[str, Any]:
    """The arguments of a tool that stand for a call, without its seed: pictures are compared on seeds of their own."""
    named = ("prompt", "negative_prompt", "sampler", "steps", "cfg_scale", "width", "height", "clip_skip")
    loras = [{"id": use["id"], "weight": use["weight"]} for use in call["loras"]]
    return {"loras": loras} | {name: call[name] for name in named} | {"seed": None}


def _perturbed(arguments: Mapping[str, Any], family_name: str, rng: np.random.Generator) -> dict[str, Any]:
    """The same call with two parameters changed."""
    family = FAMILIES[family_name]
    changed: dict[str, Any] = dict(arguments)
    weights = {"cfg_scale": 1, "steps": 1, "sampler": 1} | ({"loras": 2} if arguments["loras"] else {})
    shares = np.array(list(weights.values())) / sum(weights.values())
    for kind in rng.choice(list(weights), size=2, replace=False, p=shares):
        if kind == "cfg_scale":
            value = float(arguments["cfg_scale"]) * float(rng.choice(CFG_FACTORS))
            changed[kind] = float(round(min(max(value, family.min_cfg_scale), family.max_cfg_scale) * 2) / 2)
        elif kind == "steps":
            value = float(arguments["steps"]) * float(rng.choice(STEP_FACTORS))
            changed[kind] = int(min(max(round(value), family.min_steps), family.max_steps))
        elif kind == "sampler":
            changed[kind] = str(rng.choice(family.samplers))
        else:
            shift = float(rng.choice(WEIGHT_SHIFTS))
            changed[kind] = [
                {"id": use["id"], "weight": round(min(max(use["weight"] + shift, -2.0), 2.0), 2)}
                for use in cast("list[dict[str, Any]]", arguments["loras"])
            ]
    return changed


def _seed(rng: np.random.Generator) -> int:
    return int(rng.integers(2**31))
