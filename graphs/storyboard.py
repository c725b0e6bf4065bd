"""A story as a row of pictures in one style.

story ─ split ─ cast ─┬─ shoot (the agent with shot 1) ─┬─ board ─ the shots in order, and a sheet of them
                      ├─ shoot (the agent with shot 2) ─┤
                      └─ …                              ┘
"""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING, Annotated, cast

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
from graphs.agent import DEFAULT_THRESHOLD, create_diffagent
from graphs.branches import AgentBranch, Branch, joint_outcome
from graphs.casting import can_draw, loras_for, style_networks
from graphs.casting import cast as cast_models
from graphs.context import DiffAgentContext, stop_if_cancelled
from graphs.events import emitter
from graphs.gathering import gathered
from graphs.offer import recorded
from graphs.pins import MAX_SEED, narrowed
from graphs.request import MAX_CHARACTERS, checked_options, opening, request_of
from graphs.shots import SentenceSplitter, Shots, ShotWriter, checked_story
from graphs.state import Candidate, DiffAgentInput, DiffAgentState, Options, Outcome
from tool_specs.catalog import AnyCatalog
from tool_specs.search.shortlist import AnyShortlister, Shortlist

if TYPE_CHECKING:
    from langchain_core.language_models import BaseChatModel
    from langgraph.types import Checkpointer

    from diffagent_tools.backends.protocol import Backend
    from diffagent_tools.rewards.protocol import Reward

MAX_SHOTS = 12
SEEDS_PER_SHOT = 32
"""Distance between the seeds of two shots: each attempt at a shot takes the next one, and there are at most 20."""


class Shot(TypedDict):
    """One picture to draw, with everything that makes it look like the others."""

    n: int
    """From 1."""
    text: str
    request: str
    """The text with the common style."""
    options: Options


class Panel(Branch):
    """One shot with what came of it."""

    shot: Shot


class StoryboardState(TypedDict, total=False):
    """Everything one storyboard knows. `request` is the story."""

    request: str
    messages: Annotated[list[AnyMessage], add_messages]
    read: str
    """As in `DiffAgentState`."""
    options: Options
    style: str
    texts: list[str]
    shots: list[Shot]
    finished: Annotated[list[Panel], gathered]
    """What has come back so far, in no order."""
    panels: list[Panel]
    """All shots in the order of the story."""
    sheet: ImageReference | None
    """The pictures in that order, with captions."""
    outcome: Outcome | None


StoryboardGraph = CompiledStateGraph[StoryboardState, DiffAgentContext, DiffAgentInput, StoryboardState]


def create_storyboard(
    *,
    catalog: AnyCatalog,
    shortlister: AnyShortlister,
    backend: Backend,
    reward: Reward,
    store: ArtifactStore,
    planner: BaseChatModel | None = None,
    checkpointer: Checkpointer = None,
    threshold: float = DEFAULT_THRESHOLD,
    writer: ShotWriter | None = None,
    shots: int = MAX_SHOTS,
) -> StoryboardGraph:
    """Build the graph that draws a story.

    Run it with `graph.invoke({"request": "A fox wakes in the snow. It finds a pear. Style: sepia."})`. All shots are
    drawn by one checkpoint where one can draw them all, with the same LoRAs and with seeds of one family; each is tried
    again by the agent until it is good enough. The result's `panels` holds the shots in order, `sheet` the picture of
    all of them.

    Args:
        catalog: The models there are.
        shortlister: Finds the models.
        backend: Draws.
        reward: Scores the pictures.
        store: Keeps the pictures and the sheet.
        planner: Writes the call of each shot; see `create_diffagent`.
        checkpointer: Where threads are kept. Leave it out in a subgraph, which uses its parent's.
        threshold: Reward from which on a picture is accepted, on the reward's own scale.
        writer: Divides the story into shots: `ChatShotWriter(model)`, or by default each sentence.
        shots: Most shots.

    Returns:
        The compiled graph; its events are in `graphs.events`.
    """
    agent = create_diffagent(
        catalog=catalog, shortlister=shortlister, backend=backend, reward=reward, store=store, planner=planner,
        threshold=threshold,
    )  # fmt: skip
    shoot = _ShootNode(AgentBranch(agent))
    builder = StateGraph(StoryboardState, context_schema=DiffAgentContext, input_schema=DiffAgentInput)
    builder.add_node("split", _SplitNode(writer or SentenceSplitter(), shots))
    builder.add_node("cast", _CastNode(catalog, shortlister))
    builder.add_node("shoot", RunnableLambda(shoot, afunc=shoot.acall, name="shoot"), input_schema=Shot)
    builder.add_node("board", _BoardNode(store))
    builder.add_edge(START, "split")
    builder.add_edge("split", "cast")
    builder.add_conditional_edges("cast", _branches, ["shoot"])
    builder.add_edge("shoot", "board")
    builder.add_edge("board", END)
    return builder.compile(checkpointer=checkpointer, name="storyboard")


def _branches(state: StoryboardState) -> list[Send]:
    """One branch for each shot."""
    return [Send("shoot", shot) for shot in state["shots"]]


class _SplitNode:
    """Reads the story and divides it into shots. A node of its own: a chat model is not asked twice."""

    def __init__(self, writer: ShotWriter, most: int) -> None:
        self._writer = writer
        self._most = most

    def __call__(self, state: StoryboardState) -> StoryboardState:
        stop_if_cancelled()
        begun = cast("DiffAgentState", state)
        story = request_of(begun, checked_story)
        options = checked_options(state.get("options", {}))
        shots: Shots = self._writer.write(story, self._most)
        emitter()({"event": "shots", "shots": shots["texts"], "style": shots["style"]})
        return {
            "request": story,
            **opening(begun, story),  # type: ignore[typeddict-item]
            "options": options,
            "style": shots["style"],
            "texts": shots["texts"],
            "shots": [],
            "finished": None,  # type: ignore[typeddict-item]
            "panels": [],
            "sheet": None,
            "outcome": None,
        }


class _CastNode:
    """Chooses what all shots have in common: checkpoint, LoRAs, and the seed that theirs descend from."""

    def __init__(self, catalog: AnyCatalog, shortlister: AnyShortlister) -> None:
        self._catalog = catalog
        self._shortlister = shortlister

    def __call__(self, state: StoryboardState) -> StoryboardState:
        stop_if_cancelled()
        options, style = state["options"], state["style"]
        requests = [_in_style(text, style) for text in state["texts"]]
        in_words = style or state["request"][:MAX_CHARACTERS]
        networks = [] if "loras" in options else style_networks(self._found(in_words))
        models = cast_models([self._models(request, options) for request in requests], networks, self._catalog)
        seed = options.get("seed", secrets.randbelow(MAX_SEED))
        shots = []
        for n, (text, request, model) in enumerate(zip(state["texts"], requests, models, strict=True)):
            drawing: Options = {**options, "seed": (seed + n * SEEDS_PER_SHOT) % MAX_SEED}
            if model is not None:
                drawing["model"] = model
            if loras := loras_for(model, networks, self._catalog):
                drawing["loras"] = loras
            shots.append(Shot(n=n + 1, text=text, request=request, options=drawing))
        emitter()({"event": "cast", "models": models, "networks": [network.id for network in networks], "seed": seed})
        return {"shots": shots}

    def _found(self, request: str) -> Shortlist:
        return self._shortlister.shortlist(request, k=SHORTLIST_SIZE)

    def _models(self, request: str, options: Options) -> list[Candidate]:
        """The models that can draw a shot as the person wants it; a named one draws all."""
        models = recorded(narrowed(self._found(request), self._catalog, options))["models"]
        return models if "model" in options else can_draw(models)


class _ShootNode:
    """Runs the agent with one shot; it tries again by itself."""

    def __init__(self, branch: AgentBranch) -> None:
        self._branch = branch

    def __call__(self, shot: Shot, config: RunnableConfig) -> StoryboardState:
        branch = self._branch.run(str(shot["n"]), shot["request"], shot["options"], config)
        return {"finished": [Panel(**branch, shot=shot)]}

    async def acall(self, shot: Shot, config: RunnableConfig) -> StoryboardState:
        branch = await self._branch.arun(str(shot["n"]), shot["request"], shot["options"], config)
        return {"finished": [Panel(**branch, shot=shot)]}


class _BoardNode:
    """Puts the shots in order, and on a sheet."""

    def __init__(self, store: ArtifactStore) -> None:
        self._store = store

    def __call__(self, state: StoryboardState) -> StoryboardState:
        stop_if_cancelled()
        panels = sorted(state["finished"], key=lambda panel: panel["shot"]["n"])
        drawn = sum(panel["best"] is not None for panel in panels)
        outcome = joint_outcome(panels, told=f"{drawn} of {len(panels)} shots are drawn")
        sheet = self._sheet(panels) if drawn else None
        emitter()({
            "event": "storyboard", "status": outcome["status"], "reason": outcome["reason"], "sheet": sheet,
            "shots": [{"n": panel["shot"]["n"], "status": panel["outcome"]["status"]} for panel in panels],
        })  # fmt: skip
        said = f"{outcome['reason']}." + (f" In order: {sheet['path']}" if sheet else "")
        return {"panels": panels, "sheet": sheet, "outcome": outcome, "messages": [AIMessage(said)]}

    def _sheet(self, panels: list[Panel]) -> ImageReference:
        told = []
        for panel in panels:
            best, title = panel["best"], f"{panel['shot']['n']}."
            reference = best["reference"] if best else None
            text = panel["shot"]["text"] if reference else f"{panel['shot']['text']} ({panel['outcome']['reason']})"
            told.append((reference, title, text))
        return saved_sheet(self._store, told)


def _in_style(text: str, style: str) -> str:
    """A shot's text with the common style, unless it says so already."""
    if not style or style.casefold() in text.casefold():
        return text
    return f"{text.rstrip('.!?… ')}, {style}"[:MAX_CHARACTERS]
