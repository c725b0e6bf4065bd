"""One request drawn by several models side by side, scored on one scale.

request ─ models ─┬─ draw (the agent with model 1) ─┬─ rank ─ the models best first, and a contact sheet of them
                  ├─ draw (the agent with model 2) ─┤
                  └─ …                              ┘
"""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING, Annotated, Literal, cast

from langchain_core.messages import AIMessage, AnyMessage
from langchain_core.runnables import RunnableConfig, RunnableLambda
from langgraph.graph import END, START, StateGraph
from langgraph.graph.message import add_messages
from langgraph.graph.state import CompiledStateGraph
from langgraph.types import Send
from typing_extensions import TypedDict

from diffagent_tools.artifacts import ArtifactStore, ImageReference
from diffagent_tools.contact_sheets import saved_sheet
from diffagent_tools.planning import SHORTLIST_SIZE
from diffagent_tools.rewards.protocol import Reward
from graphs.agent import DEFAULT_THRESHOLD, create_diffagent
from graphs.branches import AgentBranch, Branch, joint_outcome
from graphs.context import DiffAgentContext, run_context, stop_if_cancelled
from graphs.events import emitter
from graphs.gathering import gathered
from graphs.nodes.shortlist import ShortlistNode
from graphs.pins import MAX_SEED
from graphs.state import Candidate, DiffAgentInput, DiffAgentState, Options, Outcome, Shortlisted
from tool_specs.families import FAMILIES

if TYPE_CHECKING:
    from langchain_core.language_models import BaseChatModel
    from langgraph.types import Checkpointer

    from diffagent_tools.backends.protocol import Backend
    from tool_specs.catalog import AnyCatalog
    from tool_specs.search.shortlist import AnyShortlister

DEFAULT_MODELS = 4


class Contender(Branch):
    """One model with what it made of the request."""

    model: Candidate
    reward: float | None
    """Of its best picture for the same text as all others; `None` without a picture."""


class CompareState(TypedDict, total=False):
    """Everything one comparison knows."""

    request: str
    messages: Annotated[list[AnyMessage], add_messages]
    options: Options
    shortlist: Shortlisted
    models: list[Candidate]
    """Those that draw, in the order of retrieval."""
    seed: int
    """What all of them start from."""
    finished: Annotated[list[Contender], gathered]
    """What has come back so far, in no order."""
    judged_for: str
    """The text that all pictures are scored for."""
    ranking: list[Contender]
    """All models, best first; those without a picture last."""
    sheet: ImageReference | None
    """The pictures side by side in that order, with captions."""
    outcome: Outcome | None


class Task(TypedDict):
    """What one branch is sent."""

    request: str
    options: Options
    model: Candidate


CompareGraph = CompiledStateGraph[CompareState, DiffAgentContext, DiffAgentInput, CompareState]


def create_compare(
    *,
    catalog: AnyCatalog,
    shortlister: AnyShortlister,
    backend: Backend,
    reward: Reward,
    store: ArtifactStore,
    planner: BaseChatModel | None = None,
    checkpointer: Checkpointer = None,
    threshold: float = DEFAULT_THRESHOLD,
    models: int = DEFAULT_MODELS,
) -> CompareGraph:
    """Build the graph that draws one request with several models.

    Run it as the agent: `graph.invoke({"request": "a fox on a blue background"})`. Every model starts from the same
    seed and draws one picture unless the options allow more. The result's `ranking` holds the models best first,
    `sheet` the picture of all of them.

    Args:
        catalog: The models there are.
        shortlister: Finds the models; the best ones of its list draw.
        backend: Draws.
        reward: Scores the pictures.
        store: Keeps the pictures and the contact sheet.
        planner: Writes the call of each model; see `create_diffagent`.
        checkpointer: Where threads are kept. Leave it out in a subgraph, which uses its parent's.
        threshold: Reward from which on a picture is accepted, on the reward's own scale.
        models: Most models that draw.

    Returns:
        The compiled graph; its events are in `graphs.events`.
    """
    agent = create_diffagent(
        catalog=catalog, shortlister=shortlister, backend=backend, reward=reward, store=store, planner=planner,
        threshold=threshold,
    )  # fmt: skip
    draw = _DrawNode(agent_branch=AgentBranch(agent))
    size = max(models, SHORTLIST_SIZE)
    builder = StateGraph(CompareState, context_schema=DiffAgentContext, input_schema=DiffAgentInput)
    builder.add_node("models", _ModelsNode(ShortlistNode(catalog, shortlister, size=size), models))
    builder.add_node("draw", RunnableLambda(draw, afunc=draw.acall, name="draw"), input_schema=Task)
    builder.add_node("rank", _RankNode(store, reward))
    builder.add_edge(START, "models")
    builder.add_conditional_edges("models", _branches, ["draw", END])
    builder.add_edge("draw", "rank")
    builder.add_edge("rank", END)
    return builder.compile(checkpointer=checkpointer, name="compare")


def _branches(state: CompareState) -> list[Send] | Literal["__end__"]:
    """One branch for each model."""
    if state["outcome"] is not None:
        return "__end__"
    fixed: Options = {"max_attempts": run_context().max_attempts or 1, **state["options"], "seed": state["seed"]}
    return [
        Send("draw", Task(request=state["request"], options={**fixed, "model": model["id"]}, model=model))
        for model in state["models"]
    ]


class _ModelsNode:
    """Chooses the models, and the seed that all of them start from."""

    def __init__(self, shortlist: ShortlistNode, most: int) -> None:
        self._shortlist = shortlist
        self._most = most

    def __call__(self, state: CompareState) -> CompareState:
        begun = self._shortlist(cast("DiffAgentState", state))
        shortlist, options = begun["shortlist"], begun["options"]
        seed = options.get("seed", secrets.randbelow(MAX_SEED))
        models = shortlist["models"][: self._most] if shortlist["fits"] or options.get("force") else []
        emitter()({"event": "models", "models": models, "seed": seed})
        update: CompareState = {
            "request": begun["request"],
            "messages": begun["messages"],
            "options": options,
            "shortlist": shortlist,
            "models": models,
            "seed": seed,
            "finished": None,  # type: ignore[typeddict-item]
            "judged_for": "",
            "ranking": [],
            "sheet": None,
            "outcome": None,
        }
        if not models:
            reason = f"no model here can draw {begun['request']!r}"
            update["outcome"] = {"status": "nothing_fits", "reason": reason, "nearest": shortlist["nearest"]}
            update["messages"] = [*begun["messages"], AIMessage(f"Nothing fits: {reason}.")]
            emitter()({"event": "comparison", "status": "nothing_fits", "reason": reason, "ranking": [], "sheet": None})
        return update


class _DrawNode:
    """Runs the agent with one model."""

    def __init__(self, agent_branch: AgentBranch) -> None:
        self._branch = agent_branch

    def __call__(self, task: Task, config: RunnableConfig) -> CompareState:
        return _contender(task, self._branch.run(*_run_of(task), config))

    async def acall(self, task: Task, config: RunnableConfig) -> CompareState:
        return _contender(task, await self._branch.arun(*_run_of(task), config))


def _run_of(task: Task) -> tuple[str, str, Options]:
    """Name, request and options of a branch."""
    return task["model"]["id"], task["request"], task["options"]


def _contender(task: Task, branch: Branch) -> CompareState:
    return {"finished": [Contender(**branch, model=task["model"], reward=None)]}


class _RankNode:
    """Scores the best picture of each model for one and the same text, and puts them on a contact sheet."""

    def __init__(self, store: ArtifactStore, reward: Reward) -> None:
        self._store = store
        self._reward = reward

    def __call__(self, state: CompareState) -> CompareState:
        stop_if_cancelled()
        order = {model["id"]: n for n, model in enumerate(state["models"])}
        contenders = sorted(state["finished"], key=lambda one: order[one["model"]["id"]])
        text = _text_to_judge(contenders, state["request"])
        scored = [self._scored(contender, text) for contender in contenders]
        ranking = sorted(scored, key=lambda one: (one["reward"] is None, -(one["reward"] or 0.0)))
        outcome = joint_outcome(ranking, told=_told(ranking))
        sheet = self._sheet(ranking)
        emitter()({
            "event": "comparison", "status": outcome["status"], "reason": outcome["reason"], "sheet": sheet,
            "ranking": [{"model": one["model"]["id"], "reward": one["reward"]} for one in ranking],
        })  # fmt: skip
        said = f"{outcome['reason']}." + (f" Side by side: {sheet['path']}" if sheet else "")
        return {
            "judged_for": text, "ranking": ranking, "sheet": sheet, "outcome": outcome, "messages": [AIMessage(said)],
        }  # fmt: skip

    def _scored(self, contender: Contender, text: str) -> Contender:
        best = contender["best"]
        if best is None or best["reference"] is None:
            return contender
        reward = self._reward.score([self._store.open(best["reference"])], [text])[0]
        return {**contender, "reward": round(float(reward), 4)}

    def _sheet(self, ranking: list[Contender]) -> ImageReference | None:
        """The contact sheet; `None` where there is no picture at all."""
        if all(one["best"] is None for one in ranking):
            return None
        told = []
        for place, one in enumerate(ranking, start=1):
            best = one["best"]
            reference = best["reference"] if best else None
            reward = "no picture" if one["reward"] is None else f"reward {one['reward']:.2f}"
            title = f"{place}. {one['model']['name']}"
            text = f"{reward}. {str((best['call'] or {}).get('prompt', '')) if best else one['outcome']['reason']}"
            told.append((reference, title, text))
        return saved_sheet(self._store, told)


def _text_to_judge(contenders: list[Contender], request: str) -> str:
    """The text that all pictures are scored for.

    A model with a closed vocabulary, and the reward trained with it, know the words of a call and no others: then it is
    what the model that retrieval ranks first was asked to draw. Each model's own prompt would not do: one that was
    asked for something easier would win.
    """
    for contender in contenders:
        if FAMILIES[contender["model"]["family"]].closed_vocabulary and contender["best"] is not None:
            return str((contender["best"]["call"] or {}).get("prompt") or request)
    return request


def _told(ranking: list[Contender]) -> str:
    """The result in a sentence."""
    first = ranking[0]
    drawn = sum(one["reward"] is not None for one in ranking)
    reward = 0.0 if first["reward"] is None else first["reward"]
    return f"{first['model']['name']} is best with reward {reward:.2f}; {drawn} of {len(ranking)} models drew"
