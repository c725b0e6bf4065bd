"""Asks planners for the calls of pairs, as serving asks them, and has the calls drawn and judged."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean
from typing import TYPE_CHECKING, Final

from langchain_core.language_models import BaseChatModel, LanguageModelInput
from langchain_core.messages import AIMessage, HumanMessage
from langchain_core.runnables import Runnable

from diffagent_tools.planning import SHORTLIST_SIZE, Reading, conversation, read_answer
from diffagent_tools.tools.generation import tool_schemas
from finetune.dabench.closed_book import read_from_memory, with_written_call
from finetune.dabench.drawing import Studio
from finetune.dabench.pairs import Pair
from finetune.dabench.refusals import RowWriter
from finetune.dabench.results import Result, answered, unanswered
from finetune.json_lines import JsonLines
from finetune.progress import counting_bar
from tool_specs.exceptions import BackendError, CallError, DiffAgentError, RequestError
from tool_specs.search.shortlist import AnyShortlister, Shortlist

if TYPE_CHECKING:
    from rich.console import Console

FILE_NAME: Final = "results.jsonl"
_REFUSED: Final = (400, 413, 422)
"""HTTP answers of an endpoint that speak of the one question, not of the endpoint."""
_UNREAD: Final = {"files", "license", "content_rating", "stats", "availability", "creator", "published", "rewards"}
"""What no planner reads of a record: what search makes of it stands in the order and the reasons."""


@dataclass(frozen=True, slots=True)
class Planner:
    """Who is asked.

    Attributes:
        name: In rows, tables and plots.
        model: A chat model with `bind_tools`.
        version: What its answers depend on beside the settings that the model tells LangChain, such as its weights.
            Where it changed, rows of an earlier run are asked again.
        closed_book: Whether no tools are offered, as in the paper: every name in the answer is one from memory, and is
            looked up in the whole catalog.
    """

    name: str
    model: BaseChatModel
    version: str = ""
    closed_book: bool = False

    @property
    def identity(self) -> str:
        """Stands for the model and its settings."""
        # What cannot be written as JSON is named by its type: a representation may hold an address in memory.
        settings = json.dumps(self.model._identifying_params, sort_keys=True, default=lambda one: type(one).__name__)
        return f"{type(self.model).__name__} {settings} {self.version}{' closed book' if self.closed_book else ''}"


def evaluate(
    pairs: Sequence[Pair],
    planners: Sequence[Planner],
    shortlister: AnyShortlister,
    folder: Path,
    *,
    studio: Studio | None = None,
    pictures: int = 1,
    console: Console | None = None,
) -> list[Result]:
    """Ask every planner about every pair, pair after pair, so that what an interrupted run left can be compared.

    Each row is written to `FILE_NAME` in `folder` as soon as it is known. Run again, only what is missing is done:
    questions that were not asked, or that changed; pictures that were not drawn, or whose weights or reward changed.

    Args:
        pairs: Of any splits.
        planners: With different names.
        shortlister: Finds what is offered for an instruction, as in serving.
        folder: Of this evaluation.
        studio: Draws and judges; without it rewards stay unknown.
        pictures: Of each call, with other seeds, whose mean reward counts.
        console: Shows progress. Default: standard error.

    Returns:
        One row for each pair and planner.

    Raises:
        BackendError: A planner failed, its server refused all questions, or the machine draws nothing with a model.
            What is done is kept.
        WeightsError: A model on offer cannot be loaded.
        ConfigError: The folder cannot be used.
    """
    lines = JsonLines(folder / FILE_NAME, Result)
    known = {row.key: row for row in lines.read()}
    rows = RowWriter(lines.append)
    results: list[Result] = []
    identities = [planner.identity for planner in planners]
    with counting_bar(console) as progress:
        task = progress.add_task("planning and drawing" if studio else "planning", total=len(pairs) * len(planners))
        for pair in pairs:
            shortlist = _shortlist(shortlister, pair)
            offer = _offer(shortlist)
            for planner, identity in zip(planners, identities, strict=True):
                asking = unanswered(planner.name, pair, _question(pair, offer, identity), shortlist)
                before = known.get(asking.key)
                if before is not None and before.question != asking.question:
                    before = None
                row = before or _asked(asking, pair, planner, shortlist, shortlister)
                if studio is not None and pair.call is not None and pair.reference:
                    row = _drawn(row, pair, studio, pictures)
                rows.add(row, before)
                results.append(row)
                progress.advance(task)
    rows.finish()
    return results


def _asked(
    row: Result, pair: Pair, planner: Planner, shortlist: Shortlist | None, shortlister: AnyShortlister
) -> Result:
    """Ask one planner; with nothing on offer, as in serving, nobody is asked who is to choose of it."""
    bound: Runnable[LanguageModelInput, AIMessage] = planner.model
    if not planner.closed_book:
        if shortlist is None or not shortlist.hits:
            return row
        bound = planner.model.bind_tools(tool_schemas(shortlist))
    messages = conversation([HumanMessage(pair.instruction)])
    started = time.perf_counter()
    try:
        answer = bound.invoke(messages)
    except Exception as error:
        seconds = time.perf_counter() - started
        refused = getattr(error, "status_code", None) in _REFUSED
        if refused or isinstance(error, CallError | RequestError):
            reading = Reading(None, None, f"{type(error).__name__}: {error}")
            failed = answered(row, AIMessage(""), reading, shortlister.catalog, seconds)
            return failed.model_copy(update={"declined": False, "refused": refused})
        if isinstance(error, DiffAgentError):
            raise
        msg = (
            f"the planner {planner.name!r} failed at pair {pair.id!r}: {type(error).__name__}: {error}; what is done "
            "is kept: run again to go on"
        )
        raise BackendError(msg) from error
    seconds = time.perf_counter() - started
    if planner.closed_book:
        reading = read_from_memory(with_written_call(answer), shortlister.catalog)
    else:
        assert shortlist is not None
        reading = read_answer(answer, shortlist)
    return answered(row, answer, reading, shortlister.catalog, seconds)


def _drawn(row: Result, pair: Pair, studio: Studio, pictures: int) -> Result:
    """The row with the mean reward of its pictures; without a valid call there are none, and the reward is 0.

    A row that has it from as many pictures, the same weights and the same reward stays as it is.
    """
    stamp = studio.stamp(row.call) if row.call is not None else ""
    if (row.pictures, row.judged) == (pictures, stamp):
        return row
    if row.call is None:
        return row.model_copy(update={"reward": 0.0, "pictures": pictures})
    judged = studio.judgements(row.call, pair, pictures=pictures)
    good = [one for one in judged if one.fault is None]
    facts = {
        "reward": fmean(one.reward for one in judged),
        "scores": {name: fmean(one.scores[name] for one in good) for name in (good[0].scores if good else ())},
        "pictures": pictures,
        "judged": stamp,
        "drawn": bool(good),
        "fault": next((one.fault for one in judged if one.fault), None),
    }
    return row.model_copy(update=facts)


def _shortlist(shortlister: AnyShortlister, pair: Pair) -> Shortlist | None:
    """What is offered; None for an instruction that serving would refuse to read."""
    try:
        return shortlister.shortlist(pair.instruction, k=SHORTLIST_SIZE)
    except RequestError:
        return None


def _offer(shortlist: Shortlist | None) -> list[object]:
    """What is read of the models on offer: descriptions, recommended parameters, trigger words, why they are there.

    The records and not the tool schemas, which say the same and take many times as long to make.
    """
    hits = (*shortlist.hits, *shortlist.networks) if shortlist else ()
    return [(hit.why, hit.spec.model_dump(mode="json", exclude=_UNREAD)) for hit in hits]


def _question(pair: Pair, offer: Sequence[object], identity: str) -> str:
    """Stands for what an answer, and its reward, depend on."""
    told = json.dumps([pair.instruction, pair.reference, pair.call, offer, identity], sort_keys=True)
    return hashlib.sha256(told.encode()).hexdigest()[:16]
