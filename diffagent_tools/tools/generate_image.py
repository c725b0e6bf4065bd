"""The tool that draws with any model of the catalog."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Annotated, Any

from langchain_core.language_models import BaseChatModel, LanguageModelInput
from langchain_core.messages import AIMessage, HumanMessage
from langchain_core.runnables import Runnable
from langchain_core.tools import ArgsSchema
from pydantic import BaseModel, ConfigDict, Field

from diffagent_tools.artifacts import ArtifactStore
from diffagent_tools.backends.protocol import Backend
from diffagent_tools.chat_models.writing import recommended_weight
from diffagent_tools.planning import SHORTLIST_SIZE, asked_in, conversation
from diffagent_tools.progress import emitter
from diffagent_tools.tools.drawing import draw
from diffagent_tools.tools.faults import ActionableTool, told_to_the_model
from diffagent_tools.tools.generation import offered, plain, tools_for
from diffagent_tools.tools.results import ImageResult
from tool_specs.calls import MAX_PROMPT, MAX_SEED, Call, to_call, with_trigger_words
from tool_specs.catalog import AnyCatalog
from tool_specs.exceptions import CallError
from tool_specs.search.shortlist import AnyShortlister, Hit, Shortlist
from tool_specs.spec import ToolSpec


class NetworkArguments(BaseModel):
    """One network."""

    model_config = ConfigDict(extra="forbid")

    id: str = Field(min_length=1, max_length=200, description="Id of the network.")
    weight: Annotated[float, Field(ge=-2, le=2)] | None = Field(
        default=None, description="Its strength; null for the recommended one."
    )


class GenerateImageArguments(BaseModel):
    """What is drawn, and what is fixed about how; null leaves it to the planner or to the model's recommendation."""

    model_config = ConfigDict(extra="forbid")

    prompt: str = Field(
        min_length=1,
        max_length=MAX_PROMPT,
        description="Without `model` what the picture should show, in plain words. With `model` the very prompt, with "
        "the trigger words of its networks.",
    )
    model: str | None = Field(
        default=None, max_length=200, description="Id of a checkpoint; null to let the best one be found."
    )
    negative_prompt: str | None = Field(
        default=None, max_length=MAX_PROMPT, description="What should not be in the picture."
    )
    sampler: str | None = Field(default=None, max_length=60, description="Such as 'DPM++ 2M Karras'.")
    steps: int | None = Field(default=None, description="Denoising steps.")
    cfg_scale: float | None = Field(default=None, description="How closely to follow the prompt.")
    width: int | None = Field(default=None, description="Pixels.")
    height: int | None = Field(default=None, description="Pixels.")
    clip_skip: int | None = Field(default=None, description="Text encoder layer to stop at, from the end.")
    seed: Annotated[int, Field(ge=0, le=MAX_SEED)] | None = Field(
        default=None, description="A number repeats a picture; null draws a new one each time."
    )
    loras: list[NetworkArguments] | None = Field(
        default=None, max_length=8, description="Networks to use: exactly these; an empty list for none."
    )


class GenerateImageTool(ActionableTool):
    """Draws a picture with any model of the catalog.

    With a model it is the call itself. Without one the planner reads the prompt as a request, picks a model and writes
    the call; what was given wins over what it writes. Either way the model's recommended parameters fill the gaps.

    ```python
    DiffAgentToolkit.pocket().get_tools()[2].invoke({"prompt": "a fox in pixel art", "seed": 1})
    ```
    """

    name: str = "generate_image"
    description: str = (
        "Draws a picture and keeps it in a file. Say in `prompt` what it should show and leave the rest null: the best "
        "model and its parameters are then found. Or name a model and networks that search_models found. Returns the "
        "id and the path of the picture, and the seed."
    )
    args_schema: ArgsSchema | None = GenerateImageArguments
    catalog: AnyCatalog = Field(exclude=True, repr=False)
    """Where named models are looked up."""
    shortlister: AnyShortlister = Field(exclude=True, repr=False)
    """Finds models where none is named; its rules hold for named ones as well."""
    planner: BaseChatModel = Field(exclude=True, repr=False)
    """Picks one of those and writes the call."""
    backend: Backend = Field(exclude=True, repr=False)
    """What draws."""
    store: ArtifactStore = Field(exclude=True, repr=False)
    """Where pictures are kept."""

    def _run(self, prompt: str, model: str | None = None, **given: object) -> tuple[str, ImageResult]:
        with told_to_the_model():
            fixed = self._fixed(given)
            if model is None:
                offer = self._offer(prompt, fixed)
                plan = _planned(offer, offer.planner.invoke(conversation([HumanMessage(prompt)])), fixed)
            else:
                plan = self._named(model, prompt, fixed)
        return self._draw(plan, threading.Event())

    async def _arun(self, prompt: str, model: str | None = None, **given: object) -> tuple[str, ImageResult]:
        """The same, searching and drawing in a thread; a cancelled task stops the drawing before its next step."""
        with told_to_the_model():
            fixed = await asyncio.to_thread(self._fixed, given)
            if model is None:
                offer = await asyncio.to_thread(self._offer, prompt, fixed)
                plan = _planned(offer, await offer.planner.ainvoke(conversation([HumanMessage(prompt)])), fixed)
            else:
                plan = await asyncio.to_thread(self._named, model, prompt, fixed)
        cancel = threading.Event()
        try:
            return await asyncio.to_thread(self._draw, plan, cancel)
        except asyncio.CancelledError:
            cancel.set()
            raise

    def _fixed(self, given: Mapping[str, object]) -> _Fixed:
        """What the caller gave, with networks looked up."""
        arguments = {name: plain(value) for name, value in given.items() if value is not None}
        if "loras" not in arguments:
            return _Fixed(arguments, None)
        uses: Any = arguments["loras"]
        networks = [self._usable(use["id"]) for use in uses]
        for network in networks:
            if not network.is_network:
                msg = f"{network.id} is a {network.type}, not a network: name it as the model, not in loras"
                raise CallError(msg)
        weights = [use.get("weight") for use in uses]
        arguments["loras"] = [
            {"id": network.id, "weight": recommended_weight(network) if weight is None else weight}
            for network, weight in zip(networks, weights, strict=True)
        ]
        return _Fixed(arguments, tuple(networks))

    def _usable(self, name: str) -> ToolSpec:
        """A model by name.

        Raises:
            CatalogError: There is none; the message names the nearest.
            CallError: The rules forbid it.
        """
        spec = self.catalog.get(name)
        if reason := self.shortlister.rules.reason_against(spec):
            msg = f"{spec.id} is not used here: {reason}; take another model"
            raise CallError(msg)
        return spec

    def _named(self, model: str, prompt: str, fixed: _Fixed) -> _Plan:
        """The call of a named model."""
        spec = self._usable(model)
        networks = fixed.networks or ()
        call = to_call(spec, {"prompt": prompt, **fixed.arguments}, shortlist=networks)
        return _Plan(call, (spec, *networks))

    def _offer(self, request: str, fixed: _Fixed) -> _Offer:
        """The models for a request that take what is fixed, and the planner that knows their tools."""
        found = _narrowed(self.shortlister.shortlist(request, SHORTLIST_SIZE), fixed)
        return _Offer(found, self.planner.bind_tools(tools_for(found, self.backend, self.store)))

    def _draw(self, plan: _Plan, cancel: threading.Event) -> tuple[str, ImageResult]:
        emitter()({"event": "call", "model": plan.call.checkpoint, "call": plan.call.model_dump(mode="json")})
        return draw(plan.call, plan.specs, self.backend, self.store, cancel)


@dataclass(frozen=True, slots=True)
class _Fixed:
    """What a caller gave beside the prompt; no networks means that the planner may choose some."""

    arguments: dict[str, object]
    networks: tuple[ToolSpec, ...] | None


@dataclass(frozen=True, slots=True)
class _Offer:
    """What the planner may choose from."""

    shortlist: Shortlist
    planner: Runnable[LanguageModelInput, AIMessage]


@dataclass(frozen=True, slots=True)
class _Plan:
    """What is going to be drawn, with the specs that it names."""

    call: Call
    specs: tuple[ToolSpec, ...]


def _narrowed(found: Shortlist, fixed: _Fixed) -> Shortlist:
    """The shortlist with only the checkpoints that take what is fixed, tried on an otherwise ordinary call.

    Raises:
        CallError: There are none, with the reason of the best.
    """
    hits, problems = [], []
    for hit in found.hits:
        try:
            to_call(hit.spec, {"prompt": "anything", **fixed.arguments}, shortlist=fixed.networks)
        except CallError as error:
            problems.append(error)
        else:
            hits.append(hit)
    if not hits:
        raise problems[0] if problems else CallError(f"there is no model that can draw {found.request[:80]!r}")
    networks = found.networks if fixed.networks is None else tuple(Hit(spec, 1.0) for spec in fixed.networks)
    return replace(found, hits=tuple(hits), networks=networks)


def _planned(offer: _Offer, answer: AIMessage, fixed: _Fixed) -> _Plan:
    """What the planner wants to draw, with what the caller gave in its place.

    Raises:
        CallError: The planner declines, or its call is not valid.
    """
    networks = [hit.spec for hit in offer.shortlist.networks]
    asked = asked_in(answer, offered(offer.shortlist), networks)
    if asked is None or asked.spec is None or asked.problem:
        msg = (asked.problem if asked else answer.text.strip()) or "none of the models here can draw this"
        raise CallError(msg)
    arguments = {**asked.arguments, **fixed.arguments}
    if fixed.networks:
        arguments["prompt"] = with_trigger_words(str(arguments.get("prompt", "")), fixed.networks)
    return _Plan(to_call(asked.spec, arguments, shortlist=networks), (asked.spec, *networks))
