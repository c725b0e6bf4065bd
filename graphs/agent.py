"""The agent: from a request in words to the best picture of it, as a LangGraph graph.

request ─ shortlist ─ select ─ approve ─ generate ─ judge ─ decide ─┬─ best picture, its call, and why
                         ▲                                          │
                         └──── again, with what was learned ────────┘
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from langchain_core.runnables import RunnableLambda
from langgraph.graph import START, StateGraph
from langgraph.graph.state import CompiledStateGraph

from diffagent_tools.planning import SHORTLIST_SIZE
from graphs.context import DiffAgentContext
from graphs.faults import RETRIES
from graphs.nodes.approve import ApproveNode
from graphs.nodes.decide import DecideNode
from graphs.nodes.generate import GenerateNode
from graphs.nodes.judge import JudgeNode
from graphs.nodes.select import SelectNode
from graphs.nodes.shortlist import ShortlistNode, anything_offered
from graphs.state import DiffAgentInput, DiffAgentState

if TYPE_CHECKING:
    from langchain_core.language_models import BaseChatModel
    from langgraph.types import Checkpointer

    from diffagent_tools.artifacts import ArtifactStore
    from diffagent_tools.backends.protocol import Backend
    from diffagent_tools.rewards.protocol import Reward
    from tool_specs.catalog import AnyCatalog
    from tool_specs.search.shortlist import AnyShortlister

DiffAgentGraph = CompiledStateGraph[DiffAgentState, DiffAgentContext, DiffAgentInput, DiffAgentState]

DEFAULT_THRESHOLD = 0.5
"""On the scale of `UnifiedReward`: as good as the average picture it was calibrated on."""


def create_diffagent(
    *,
    catalog: AnyCatalog,
    shortlister: AnyShortlister,
    backend: Backend,
    reward: Reward,
    store: ArtifactStore,
    planner: BaseChatModel | None = None,
    checkpointer: Checkpointer = None,
    threshold: float = DEFAULT_THRESHOLD,
    shortlist_size: int = SHORTLIST_SIZE,
    approve: bool = False,
) -> DiffAgentGraph:
    """Build the agent.

    Run it with `graph.invoke({"request": "a fox on a blue background"})`, or with messages; `Options` says what a
    person may fix for one request. The result's `best` is the best `Attempt`, `outcome` says how the request ended, and
    `attempts` holds all of them. With a checkpointer, a run that was killed goes on with `graph.invoke(None, config)`
    and draws no finished attempt again.

    Args:
        catalog: The models there are.
        shortlister: Finds the few that could draw a request.
        backend: Draws.
        reward: Scores a picture for a prompt; a `UnifiedReward` gives 0 to 1.
        store: Keeps the pictures.
        planner: Chat model with `bind_tools` that picks a model and writes the call. Default: `RetrievalChatModel`,
            which takes what retrieval ranks first and needs no language model.
        checkpointer: Where threads are kept. Leave it out in a subgraph, which uses its parent's.
        threshold: Reward from which on a picture is accepted, on the reward's own scale.
        shortlist_size: Most models offered per request.
        approve: Ask a person before each picture of every request, with an interrupt that a `Decision` answers; else
            only where `Options` asks for it.

    Returns:
        The compiled graph; usable sync and async, streamed (`stream_mode="custom"`, see `graphs.events`), and as a
        node of a bigger graph.
    """
    if planner is None:
        from diffagent_tools.chat_models.retrieval import RetrievalChatModel

        planner = RetrievalChatModel(catalog=catalog, shortlister=shortlister)
    select = SelectNode(catalog, planner, backend, store)
    generate = GenerateNode(catalog, backend, store)

    builder = StateGraph(DiffAgentState, context_schema=DiffAgentContext, input_schema=DiffAgentInput)
    builder.add_node("shortlist", ShortlistNode(catalog, shortlister, size=shortlist_size))
    builder.add_node("select", RunnableLambda(select, afunc=select.acall, name="select"))
    builder.add_node("approve", ApproveNode(catalog, always=approve))
    builder.add_node("generate", RunnableLambda(generate, afunc=generate.acall, name="generate"), retry_policy=RETRIES)
    builder.add_node("judge", JudgeNode(store, reward, threshold=threshold))
    builder.add_node("decide", DecideNode())

    builder.add_edge(START, "shortlist")
    builder.add_conditional_edges("shortlist", _after_shortlist)
    builder.add_conditional_edges("select", _after_select)
    builder.add_conditional_edges("approve", _after_approve)
    builder.add_edge("generate", "judge")
    builder.add_edge("judge", "decide")
    builder.add_conditional_edges("decide", _after_decide)
    return builder.compile(checkpointer=checkpointer, name="diffagent")


def _after_shortlist(state: DiffAgentState) -> Literal["select", "decide"]:
    return "select" if anything_offered(state) else "decide"


def _after_select(state: DiffAgentState) -> Literal["approve", "decide"]:
    return "approve" if state["proposal"] else "decide"


def _after_approve(state: DiffAgentState) -> Literal["generate", "judge"]:
    return "judge" if state["drawn"] else "generate"


def _after_decide(state: DiffAgentState) -> Literal["select", "__end__"]:
    return "__end__" if state["outcome"] else "select"
