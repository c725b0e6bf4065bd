"""One picture, made better step by step.

request ─ draft ─ decide ─┬─ the best picture
        (the agent's)     └─ critique ─ approve ─ generate ─ judge ─ decide ─ …

A critic says what to change between two attempts: the prompt, the parameters, and whether the next picture begins from
the best one so far (image-to-image) or from nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, cast

from langchain_core.messages import AIMessage, AnyMessage, RemoveMessage
from langchain_core.runnables import RunnableConfig, RunnableLambda
from langgraph.graph import START, StateGraph
from langgraph.graph.message import add_messages
from langgraph.graph.state import CompiledStateGraph

from diffagent_tools.chat_models.calling import new_call_id
from graphs.agent import DEFAULT_THRESHOLD, DiffAgentGraph, create_diffagent
from graphs.context import DiffAgentContext, run_context, stop_if_cancelled
from graphs.critics import Critic, Revision, RuleCritic
from graphs.events import Event, emitter
from graphs.faults import RETRIES
from graphs.nodes.approve import ApproveNode
from graphs.nodes.decide import DecideNode
from graphs.nodes.generate import GenerateNode
from graphs.nodes.judge import JudgeNode
from graphs.pins import at_final_size, call_of, pinned
from graphs.request import checked_options, opening, request_of
from graphs.said import saying
from graphs.state import Attempt, DiffAgentInput, DiffAgentState, JsonDict, Options, Proposal
from tool_specs.calls import Call, starting_from
from tool_specs.catalog import AnyCatalog
from tool_specs.exceptions import CallError

if TYPE_CHECKING:
    from langchain_core.language_models import BaseChatModel
    from langgraph.types import Checkpointer

    from diffagent_tools.artifacts import ArtifactStore
    from diffagent_tools.backends.protocol import Backend
    from diffagent_tools.rewards.protocol import Reward
    from tool_specs.search.shortlist import AnyShortlister

DEFAULT_PICTURES = 5
"""The draft and what follows it, where the options say nothing else."""


class RefineState(DiffAgentState, total=False):
    """Everything one refinement knows: that of the agent, whose first attempt is the draft, and the critic's words."""

    revisions: list[Revision]
    """What was changed before attempt 2, 3, …"""


RefineGraph = CompiledStateGraph[RefineState, DiffAgentContext, DiffAgentInput, RefineState]


def create_refine(
    *,
    catalog: AnyCatalog,
    shortlister: AnyShortlister,
    backend: Backend,
    reward: Reward,
    store: ArtifactStore,
    planner: BaseChatModel | None = None,
    checkpointer: Checkpointer = None,
    threshold: float = DEFAULT_THRESHOLD,
    approve: bool = False,
    critic: Critic | None = None,
) -> RefineGraph:
    """Build the graph that improves a picture.

    Run it as the agent: `graph.invoke({"request": "a fox on a blue background"})`. The result is the agent's as well:
    `best` is the best `Attempt`, `attempts` holds all of them, and `revisions` what the critic said in between.

    Args:
        catalog: The models there are.
        shortlister: Finds the few that could draw a request.
        backend: Draws; it must be able to begin from a picture: `DiffusersBackend(catalog, pictures=store.load)`.
        reward: Scores the pictures.
        store: Keeps the pictures.
        planner: Picks the model and writes the call of the draft; see `create_diffagent`.
        checkpointer: Where threads are kept. Leave it out in a subgraph, which uses its parent's.
        threshold: Reward from which on a picture is good enough, on the reward's own scale.
        approve: Ask a person before each picture; see `create_diffagent`.
        critic: Says what to change: `ChatCritic(model)`, or by default `RuleCritic`.

    Returns:
        The compiled graph; its events are in `graphs.events`.
    """
    agent = create_diffagent(
        catalog=catalog, shortlister=shortlister, backend=backend, reward=reward, store=store, planner=planner,
        threshold=threshold, approve=approve,
    )  # fmt: skip
    draft, generate = _DraftNode(agent), GenerateNode(catalog, backend, store)
    builder = StateGraph(RefineState, context_schema=DiffAgentContext, input_schema=DiffAgentInput)
    builder.add_node("draft", RunnableLambda(draft, afunc=draft.acall, name="draft"))
    builder.add_node("decide", DecideNode(attempts=DEFAULT_PICTURES, chooser="the critic"))
    builder.add_node("critique", _CritiqueNode(catalog, critic or RuleCritic()))
    builder.add_node("approve", ApproveNode(catalog, always=approve))
    builder.add_node("generate", RunnableLambda(generate, afunc=generate.acall, name="generate"), retry_policy=RETRIES)
    builder.add_node("judge", JudgeNode(store, reward, threshold=threshold))
    builder.add_edge(START, "draft")
    builder.add_edge("draft", "decide")
    builder.add_conditional_edges("decide", _after_decide)
    builder.add_conditional_edges("critique", _after_critique)
    builder.add_conditional_edges("approve", _after_approve)
    builder.add_edge("generate", "judge")
    builder.add_edge("judge", "decide")
    return builder.compile(checkpointer=checkpointer, name="refine")


def _after_decide(state: RefineState) -> Literal["critique", "__end__"]:
    return "__end__" if state["outcome"] else "critique"


def _after_critique(state: RefineState) -> Literal["approve", "decide"]:
    return "approve" if state["proposal"] else "decide"


def _after_approve(state: RefineState) -> Literal["generate", "judge"]:
    return "judge" if state["drawn"] else "generate"


class _DraftNode:
    """Has the agent draw the first picture. Whether that is the end is for `decide` to say, not for the agent."""

    def __init__(self, agent: DiffAgentGraph) -> None:
        self._agent = agent

    def __call__(self, state: RefineState, config: RunnableConfig) -> RefineState:
        stop_if_cancelled()
        options, emit = checked_options(state.get("options", {})), emitter()
        drafted: object = {}
        for mode, chunk in self._agent.stream(_once(state, options), config, stream_mode=["custom", "values"]):
            if mode == "values":
                drafted = chunk
            elif cast("Event", chunk)["event"] != "outcome":
                emit(cast("Event", chunk))
        return _begun(state, cast("DiffAgentState", drafted), options)

    async def acall(self, state: RefineState, config: RunnableConfig) -> RefineState:
        stop_if_cancelled()
        options, emit = checked_options(state.get("options", {})), emitter()
        drafted: object = {}
        async for mode, chunk in self._agent.astream(_once(state, options), config, stream_mode=["custom", "values"]):
            if mode == "values":
                drafted = chunk
            elif cast("Event", chunk)["event"] != "outcome":
                emit(cast("Event", chunk))
        return _begun(state, cast("DiffAgentState", drafted), options)


def _once(state: RefineState, options: Options) -> DiffAgentInput:
    """The same request for the agent, with one attempt."""
    request = request_of(state)
    messages = add_messages(state.get("messages", []), opening(state, request)["messages"])  # type: ignore[arg-type]
    return {
        "request": request,
        "messages": cast("list[AnyMessage]", messages),
        "options": {**options, "max_attempts": 1},
    }


def _begun(state: RefineState, drafted: DiffAgentState, options: Options) -> RefineState:
    """The agent's state without its last word, to go on from; what it took back of the conversation is taken back."""
    kept = drafted["messages"][:-1]
    ids = {message.id for message in kept}
    removed = [RemoveMessage(id=str(one.id)) for one in state.get("messages", []) if one.id not in ids]
    going_on = cast("RefineState", {**drafted, "messages": [*removed, *kept]})
    return {**going_on, "options": options, "outcome": None, "revisions": []}


class _CritiqueNode:
    """Asks the critic, and turns what it says into the next proposal."""

    def __init__(self, catalog: AnyCatalog, critic: Critic) -> None:
        self._catalog = catalog
        self._critic = critic

    def __call__(self, state: RefineState) -> RefineState:
        stop_if_cancelled()
        attempts, best = state["attempts"], state["best"]
        base, n = best or attempts[-1], len(attempts) + 1
        revision = self._critic.revise(state["request"], attempts, best) if base["model"] is not None else None
        if revision is None:
            return {"proposal": None}
        if best is None:
            revision = {**revision, "denoising_strength": None}
        proposal = self._proposal(base, revision, state, n)
        emit = emitter()
        emit({"event": "critique", "attempt": n, "base": base["n"], **revision})
        emit({"event": "call", "attempt": n, **{key: proposal[key] for key in ("model", "tool", "arguments")}})
        said = saying(AIMessage(revision["why"]), proposal)
        return {"proposal": proposal, "revisions": [*state["revisions"], revision], "messages": [said]}

    def _proposal(self, base: Attempt, revision: Revision, state: RefineState, n: int) -> Proposal:
        """The changed arguments, checked, with what a person fixed in their place; each picture has a seed of its own.

        Noise of the same seed as the picture's own would be added to it otherwise, which burns its structure in.
        """
        changed: JsonDict = {**base["arguments"], **revision["changes"], "seed": None}
        arguments = pinned(changed, self._catalog, state["options"], n)
        proposal: Proposal = {
            "id": new_call_id(),
            "tool": base["tool"],
            "model": base["model"],
            "arguments": arguments,
            "call": None,
            "problem": None,
            "ask": run_context().approve,
        }
        try:
            proposal["call"] = self._call(base, proposal, revision["denoising_strength"], state).model_dump(mode="json")
        except CallError as error:
            proposal["problem"] = str(error)
        return proposal

    def _call(self, base: Attempt, proposal: Proposal, strength: float | None, state: RefineState) -> Call:
        """The call that draws a proposal.

        Raises:
            CallError: The critic asks for something that is not valid.
        """
        spec = self._catalog.get(cast("str", proposal["model"]))
        call = call_of(spec, proposal["arguments"], state["options"])
        if strength is None or base["reference"] is None:
            return call
        return starting_from(at_final_size(call), base["reference"]["sha256"], strength)
