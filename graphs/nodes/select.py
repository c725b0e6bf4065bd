"""Second step: a chat model with tools picks one model and writes the call."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import cast

from langchain_core.language_models import BaseChatModel, LanguageModelInput
from langchain_core.messages import AIMessage, BaseMessage
from langchain_core.runnables import Runnable, RunnableConfig

from diffagent_tools.artifacts import ArtifactStore
from diffagent_tools.backends.protocol import Backend
from diffagent_tools.planning import asked_in, conversation
from diffagent_tools.tools.generation import GenerationTool, tools_for
from graphs.context import run_context, stop_if_cancelled
from graphs.events import emitter
from graphs.offer import restored
from graphs.pins import call_of, pinned
from graphs.said import UNNAMED, saying
from graphs.state import DiffAgentState, JsonDict, Proposal
from tool_specs.catalog import AnyCatalog
from tool_specs.exceptions import CallError
from tool_specs.spec import ToolSpec


class SelectNode:
    """Binds one tool per shortlisted model, asks the planner, and turns its answer into a proposal."""

    def __init__(self, catalog: AnyCatalog, planner: BaseChatModel, backend: Backend, store: ArtifactStore) -> None:
        """Any chat model with `bind_tools` can be the planner; backend and store belong to the tools it is shown."""
        self._catalog = catalog
        self._planner = planner
        self._backend = backend
        self._store = store

    def __call__(self, state: DiffAgentState, config: RunnableConfig) -> DiffAgentState:
        """Fill `proposal`, or leave it empty when the planner calls nothing."""
        stop_if_cancelled()
        tools = self._tools(state)
        return self._proposed(state, tools, self._bound(state, tools).invoke(conversation(state["messages"]), config))

    async def acall(self, state: DiffAgentState, config: RunnableConfig) -> DiffAgentState:
        """The same with the planner's own async path; what looks into the catalog keeps off the event loop."""
        stop_if_cancelled()
        tools = await asyncio.to_thread(self._tools, state)
        answer = await self._bound(state, tools).ainvoke(conversation(state["messages"]), config)
        return await asyncio.to_thread(self._proposed, state, tools, answer)

    def _tools(self, state: DiffAgentState) -> list[GenerationTool]:
        """The tools of this request."""
        return tools_for(restored(state["request"], state["shortlist"], self._catalog), self._backend, self._store)

    def _bound(self, state: DiffAgentState, tools: Sequence[GenerationTool]) -> Runnable[LanguageModelInput, AIMessage]:
        """The planner with these tools; who names a model, or wants a picture in any case, leaves it no way out."""
        options = state["options"]
        must_call = "model" in options or options.get("force", False)
        return self._planner.bind_tools(tools, tool_choice="any") if must_call else self._planner.bind_tools(tools)

    def _proposed(self, state: DiffAgentState, tools: Sequence[GenerationTool], answer: BaseMessage) -> DiffAgentState:
        """The planner's answer as state: the message, with one call at most, and the proposal that is in it."""
        n = len(state["attempts"]) + 1
        models = {tool.name: tool.spec for tool in tools}
        proposal = self._proposal(state, models, cast("AIMessage", answer), n)
        if proposal is None:
            return {"messages": [answer], "proposal": None}  # type: ignore[list-item]
        emit = emitter()
        emit({"event": "call", "attempt": n, **{key: proposal[key] for key in ("model", "tool", "arguments")}})
        return {"messages": [saying(answer, proposal)], "proposal": proposal}

    def _proposal(
        self, state: DiffAgentState, models: Mapping[str, ToolSpec], answer: AIMessage, n: int
    ) -> Proposal | None:
        """What the planner wants to call, checked; `None` when it calls nothing.

        Args:
            state: The request.
            models: The checkpoint of each tool on offer, by its name.
            answer: What the planner said.
            n: Number of the attempt.
        """
        networks = self._networks(state)
        asked = asked_in(answer, models, networks)
        if asked is None:
            return None
        proposal: Proposal = {
            "id": asked.id,
            "tool": asked.tool or UNNAMED,
            "model": asked.spec.id if asked.spec else None,
            "arguments": cast("JsonDict", asked.arguments),
            "call": None,
            "problem": asked.problem,
            "ask": run_context().approve,
        }
        if proposal["problem"] is None:
            self._check(proposal, state, networks, n)
        return proposal

    def _check(self, proposal: Proposal, state: DiffAgentState, networks: Sequence[ToolSpec], n: int) -> None:
        """Put in what the person fixed, and see whether the result is a valid call."""
        spec = self._catalog.get(cast("str", proposal["model"]))
        proposal["arguments"] = pinned(proposal["arguments"], self._catalog, state["options"], n)
        try:
            call = call_of(spec, proposal["arguments"], state["options"], networks)
            proposal["call"] = call.model_dump(mode="json")
        except CallError as error:
            proposal["problem"] = str(error)

    def _networks(self, state: DiffAgentState) -> list[ToolSpec]:
        """The networks on offer."""
        return [self._catalog.get(one["id"]) for one in state["shortlist"]["networks"]]
