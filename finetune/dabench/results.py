"""What a planner made of a pair: one row of `results.jsonl`."""

from __future__ import annotations

from typing import Final

from langchain_core.messages import AIMessage
from pydantic import BaseModel, ConfigDict, JsonValue

from diffagent_tools.planning import Asked, Reading
from finetune.dabench.pairs import Pair
from tool_specs.catalog import AnyCatalog
from tool_specs.search.shortlist import Shortlist

MAX_TEXT: Final = 300
MAX_NETWORKS: Final = 20
"""Networks of one answer that are kept; no family takes more than five."""


class Result(BaseModel):
    """One answer of one planner, with the pictures' reward once they were drawn."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    planner: str
    pair: str
    """Id of the pair."""
    split: str
    question: str
    """Stands for what was asked and who was asked; a row that answered another question counts for nothing."""
    fits: bool
    """Whether retrieval says that anything on the shortlist can draw it. The planner is asked in any case."""
    offered: tuple[str, ...]
    """Spec ids of the checkpoints on the shortlist, best first."""
    networks: tuple[str, ...]
    """Likewise of the networks."""
    declined: bool
    tool: str | None = None
    """The name that was called."""
    model: str | None = None
    """Spec id of the checkpoint behind it; None where nothing on the shortlist has that name."""
    loras: tuple[str, ...] = ()
    """Networks that the call names, whether they exist or not."""
    invented: tuple[str, ...] = ()
    """Names in the call that the catalog does not hold."""
    problem: str | None = None
    """Why the call is not valid."""
    refused: bool = False
    """Whether the planner's server refused the question; nothing was called then."""
    call: dict[str, JsonValue] | None = None
    """The valid call."""
    seconds: float = 0.0
    """From the question to the planner's answer; a planner without a language model searches in between."""
    input_tokens: int | None = None
    output_tokens: int | None = None
    reward: float | None = None
    """Mean of the pictures; 0 for one that is none although it should be; None where nobody judged."""
    scores: dict[str, float] = {}
    """Of each reward in it, on its own scale; means of the pictures without fault."""
    pictures: int = 0
    """How many the reward is the mean of."""
    judged: str = ""
    """Stands for the reward and the weights behind the pictures (`Studio.stamp`)."""
    drawn: bool = False
    """Whether there is a picture without fault."""
    fault: str | None = None
    """Why there is no picture of the valid call, or one not worth judging; of several, the first."""

    @property
    def key(self) -> tuple[str, str]:
        """What the row is about."""
        return self.planner, self.pair


def unanswered(planner: str, pair: Pair, question: str, shortlist: Shortlist | None) -> Result:
    """The row of a question before it is asked: nothing was called."""
    return Result(
        planner=planner,
        pair=pair.id,
        split=pair.split,
        question=question,
        fits=shortlist is not None and shortlist.fits,
        offered=tuple(hit.spec.id for hit in shortlist.hits) if shortlist else (),
        networks=tuple(hit.spec.id for hit in shortlist.networks) if shortlist else (),
        declined=True,
    )


def answered(row: Result, answer: AIMessage, reading: Reading, catalog: AnyCatalog, seconds: float) -> Result:
    """The row with the planner's answer in it."""
    used = answer.usage_metadata
    asked = reading.asked
    facts: dict[str, object] = {
        "declined": reading.declined,
        "problem": None if reading.problem is None else reading.problem[:MAX_TEXT],
        "call": None if reading.call is None else reading.call.model_dump(mode="json"),
        "seconds": round(seconds, 4),
        "input_tokens": used["input_tokens"] if used else None,
        "output_tokens": used["output_tokens"] if used else None,
    }
    if asked is not None:
        tool, loras = asked.tool[:MAX_TEXT], _networks_named(asked)
        facts |= {"tool": tool, "model": asked.spec.id if asked.spec else None, "loras": loras}
        unknown = [name for name in loras if name not in catalog]
        if tool and asked.spec is None and catalog.by_tool_name(asked.tool) is None:
            unknown.insert(0, tool)
        facts["invented"] = tuple(unknown)
    return row.model_copy(update=facts)


def _networks_named(asked: Asked) -> tuple[str, ...]:
    """The ids in the argument `loras`, whatever a planner may have written there."""
    uses = asked.arguments.get("loras")
    entries = uses[:MAX_NETWORKS] if isinstance(uses, list | tuple) else ()
    names = (entry.get("id") if isinstance(entry, dict) else entry for entry in entries)
    return tuple(name[:MAX_TEXT] for name in names if isinstance(name, str))
