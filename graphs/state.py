"""What one request carries through the graph: plain, JSON-ready dicts that any checkpointer can save."""

from __future__ import annotations

from typing import Annotated, Literal, NotRequired

from langchain_core.messages import AnyMessage
from langgraph.graph.message import add_messages
from pydantic import ConfigDict, Field, JsonValue, with_config
from typing_extensions import TypedDict

from diffagent_tools.artifacts import ImageReference
from diffagent_tools.candidates import Candidate

JsonDict = dict[str, JsonValue]
Verdict = Literal["ok", "poor", "fault", "rejected"]
Status = Literal["accepted", "best_effort", "nothing_fits", "failed", "rejected"]
Attempts = Annotated[int, Field(ge=1, le=20)]
Seconds = Annotated[float, Field(gt=0, allow_inf_nan=False)]


@with_config(ConfigDict(extra="forbid", strict=True))
class LoraOption(TypedDict):
    """A network that the person asked for by name; no weight means the recommended one."""

    id: str
    weight: Annotated[float, Field(ge=-2, le=2, allow_inf_nan=False)] | None


@with_config(ConfigDict(extra="forbid", strict=True))
class HiresOption(TypedDict, total=False):
    """A second, larger pass; `tool_specs.calls.HiresFix` says what each field means, and what stands in for it."""

    upscale: float
    denoising_strength: float
    steps: int
    upscaler: Literal["Latent", "Lanczos"]


@with_config(ConfigDict(extra="forbid", strict=True))
class VariationOption(TypedDict):
    """Noise of another seed; `tool_specs.calls.Variation` says what each field means."""

    seed: int
    strength: float


@with_config(ConfigDict(extra="forbid", strict=True))
class Options(TypedDict, total=False):
    """What a person may fix for one request. Everything is optional."""

    model: str
    """Draw with this checkpoint and no other: spec id, model id or tool name."""
    loras: list[LoraOption]
    """Use exactly these networks."""
    steps: int
    width: int
    height: int
    hires: HiresOption
    """Draw every picture in two passes; `width` and `height` are those of the first."""
    variation: VariationOption
    """Mix the noise of another seed into every picture's own."""
    tiling: bool
    """Draw pictures whose opposite edges meet."""
    seed: Annotated[int, Field(ge=0, lt=2**32)]
    """Seed of the first attempt; attempt n draws with `seed + n - 1`."""
    approve: bool
    """Ask a person before each picture is drawn."""
    force: bool
    """Draw with the nearest models although nothing fits."""
    max_attempts: Attempts
    max_seconds: Seconds
    """No new attempt starts once drawing and judging have taken this long. Waiting for a person does not count."""


class Shortlisted(TypedDict):
    """What retrieval offers for one request, best first."""

    fits: bool
    models: list[Candidate]
    networks: list[Candidate]
    nearest: list[Candidate]


class Proposal(TypedDict):
    """The call that the planner wants to make next, with what a person fixed already in it."""

    id: str
    tool: str
    model: str | None
    arguments: JsonDict
    call: JsonDict | None
    """The arguments as a validated `Call`; `None` when they are not valid."""
    problem: str | None
    ask: NotRequired[bool]
    """Whether the run that proposed it wants a person to approve it; threads of earlier releases do not say."""


class Drawn(TypedDict):
    """What came of the last proposal, before it is judged: a picture, or the problem that stood in its way."""

    reference: ImageReference | None
    call: JsonDict | None
    """The call with its seed filled in."""
    seconds: float
    problem: str | None
    rejected: bool
    """Whether a person was the problem."""


class Attempt(TypedDict):
    """One finished attempt: what was called, what came out and what it is worth."""

    n: int
    model: str | None
    tool: str
    arguments: JsonDict
    call: JsonDict | None
    """The call as drawn, its seed filled in; `None` when nothing was drawn."""
    reference: ImageReference | None
    reward: float | None
    """On the scale of the reward that the graph was given."""
    scores: dict[str, float]
    """What each reward that was combined gave, on its own scale."""
    verdict: Verdict
    reason: str
    seconds: float


class Outcome(TypedDict):
    """How the request ended."""

    status: Status
    reason: str
    nearest: list[Candidate]


class DiffAgentInput(TypedDict, total=False):
    """What starts a request: `request`, or a conversation whose last message is the person's."""

    request: str
    messages: Annotated[list[AnyMessage], add_messages]
    options: Options
    """Left out, a thread keeps the options of its last request; `{}` drops them."""


class DiffAgentState(TypedDict, total=False):
    """Everything one request knows. A request that starts anew on the same thread starts with no attempts."""

    request: str
    messages: Annotated[list[AnyMessage], add_messages]
    read: str
    """Id of the person's message that holds the request."""
    options: Options
    shortlist: Shortlisted
    proposal: Proposal | None
    drawn: Drawn | None
    attempts: list[Attempt]
    best: Attempt | None
    outcome: Outcome | None


def proposed(state: DiffAgentState) -> Proposal:
    """The proposal that the nodes after `select` work on."""
    proposal = state["proposal"]
    if proposal is None:
        msg = "no call was proposed: the graph went on although the planner called nothing"
        raise RuntimeError(msg)
    return proposal


def not_drawn(problem: str, *, rejected: bool = False) -> Drawn:
    """What stands in the place of a picture when the backend was not asked."""
    return {"reference": None, "call": None, "seconds": 0.0, "problem": problem, "rejected": rejected}
