"""What the pocket planner learns from: requests of many worlds, each with its shortlist and a community call."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Final, Literal

import numpy as np
from langchain_core.messages import AIMessage, BaseMessage, ToolMessage

from diffagent_tools.tools.generation import tool_names
from finetune.pocket.planner.aliases import with_aliases
from finetune.pocket.planner.community import community_arguments
from finetune.pocket.planner.requests import Request, RequestWriter, held_out_style
from finetune.pocket.planner.words import UNKNOWN
from finetune.pocket.planner.worlds import World, made_up_world, mixed_world, pocket_world
from finetune.sfta.samples import Sample, calling, declining, rendered, sample_of
from tool_specs.search.shortlist import Shortlist, Shortlister

IMPOSSIBLE = 0.25
"""Share of the requests that nothing draws."""
GOLD_ABSENT = 0.1
"""Share of the other shortlists from which the right checkpoint is taken."""
RETRIES = 0.12
"""Share of the samples that stand after one or two failed attempts."""

ALIASED = 0.5
"""Share of the samples whose words are replaced by others."""
ENDED = 0.5
"""Share of the samples that end before the parameters of the call: what the community chose is mostly chance, and there
is nothing to read it from."""
PARAMETERS = ', "sampler"'
"""Where the parameters of a written call begin."""

SAMPLES = 3
"""Samples made of one lesson: other orders of the tools, other people's calls."""
STAY = 60
"""Lessons in one made-up world."""


@dataclass(frozen=True, slots=True)
class Lesson:
    """A request with its shortlist.

    Attributes:
        request: What is asked.
        shortlist: What the real retriever offers for it.
    """

    request: Request
    shortlist: Shortlist


def lessons(world: World, shortlister: Shortlister, rng: np.random.Generator, count: int) -> Iterator[Lesson]:
    """Requests to a world in wordings that training may see, each with its shortlist."""
    writer = RequestWriter(rng)
    foreign = [noun for noun in UNKNOWN if noun not in world.drawn_by]
    for _ in range(count):
        if rng.random() < IMPOSSIBLE:
            request = writer.impossible(foreign, world.styles)
        else:
            request = writer.request(
                writer.wanted(world.subjects, world.styles, keep=lambda s, style: not held_out_style(s, style))
            )
        yield Lesson(request, shortlister.shortlist(request.text))


def lesson_sample(sample_id: str, world: World, lesson: Lesson, rng: np.random.Generator) -> Sample:
    """A lesson as a sample: the tools in random order, the gold call sometimes out of reach, sometimes after failures.

    Args:
        sample_id: Of the row.
        world: Where the lesson comes from.
        lesson: The request and its shortlist.
        rng: Where chance comes from; another state gives another sample of the same lesson.
    """
    wanted, hits = lesson.request.wanted, list(lesson.shortlist.hits)
    rng.shuffle(hits)
    gold = world.drawn_by[wanted.subject] if wanted else None
    if gold is not None and rng.random() < GOLD_ABSENT:
        hits = [hit for hit in hits if hit.spec.id != gold] or hits
    networks = list(lesson.shortlist.networks)
    rng.shuffle(networks)
    shortlist = replace(lesson.shortlist, hits=tuple(hits), networks=tuple(networks))
    earlier, broken = _failures(world, lesson, shortlist, rng) if rng.random() < RETRIES else ([], set())
    answer = _answer(world, lesson.request, shortlist, broken, rng)
    return sample_of(sample_id, lesson.request.text, shortlist, answer, earlier=earlier)


def _answer(
    world: World, request: Request, shortlist: Shortlist, broken: set[str], rng: np.random.Generator
) -> AIMessage:
    """The call of the right checkpoint, or a refusal where it is not on offer or has failed."""
    wanted = request.wanted
    tools = tool_names(shortlist)
    gold = world.drawn_by[wanted.subject] if wanted else None
    if wanted is None or gold not in tools or tools[gold] in broken:
        return declining()
    return calling(tools[gold], _arguments(world, request, rng))


def _arguments(world: World, request: Request, rng: np.random.Generator) -> dict[str, object]:
    assert request.wanted is not None
    return community_arguments(request.wanted, *world.models(request.wanted), rng)


def _failures(
    world: World, lesson: Lesson, shortlist: Shortlist, rng: np.random.Generator
) -> tuple[list[BaseMessage], set[str]]:
    """One or two attempts that went wrong, and the tools that cannot be drawn with."""
    messages: list[BaseMessage] = []
    broken: set[str] = set()
    tools = tool_names(shortlist)
    wanted = lesson.request.wanted
    if wanted is None or world.drawn_by[wanted.subject] not in tools:
        return messages, broken
    tool = tools[world.drawn_by[wanted.subject]]
    for number in range(1, int(rng.integers(2, 4))):
        verdict = "poor" if rng.random() < 0.8 else "fault"
        call_id = f"call_{number}"
        messages.append(calling(tool, _arguments(world, lesson.request, rng), call_id))
        told = {"attempt": number, "reward": 0.3, "verdict": verdict, "reason": ""}
        messages.append(ToolMessage(json.dumps(told), tool_call_id=call_id, name=tool))
        if verdict == "fault":
            broken.add(tool)
            break
    return messages, broken


@dataclass(frozen=True, slots=True)
class Course:
    """Lessons in one kind of world.

    Attributes:
        kind: "pocket" for the world that ships, "made up" for a new world every few lessons, "mixed" for the one that
            ships with other new models every few lessons.
        count: Lessons.
        seed: Of all chance in it.
    """

    kind: Literal["pocket", "made up", "mixed"]
    count: int
    seed: int


WORLDS: Final[Mapping[str, Callable[[np.random.Generator], World]]] = MappingProxyType(
    {"pocket": lambda _: pocket_world(), "made up": made_up_world, "mixed": mixed_world}
)
"""World of a kind of course."""


def course_rows(course: Course) -> Iterator[dict[str, str]]:
    """The rendered samples of a course, `SAMPLES` for each lesson; ids tell course, lesson and sample."""
    from diffagent_tools.embeddings import MiniLMEmbedder
    from finetune.pocket.planner.tokenizer import blank_tokenizer

    tokenizer, embedder = blank_tokenizer(), MiniLMEmbedder()
    rng = np.random.default_rng(course.seed)
    number = 0
    while number < course.count:
        world = WORLDS[course.kind](rng)
        stay = course.count if course.kind == "pocket" else STAY
        shortlister = Shortlister(world.catalog, embedder)
        for lesson in lessons(world, shortlister, rng, min(stay, course.count - number)):
            for variant in range(SAMPLES):
                sample = lesson_sample(f"{course.kind}-{course.seed}-{number}-{variant}", world, lesson, rng)
                row = rendered(sample, tokenizer)
                row = with_aliases(row, rng) if rng.random() < ALIASED else row
                yield without_parameters(row) if rng.random() < ENDED else row
            number += 1


def without_parameters(row: dict[str, str]) -> dict[str, str]:
    """A rendered lesson whose answer ends before the parameters of the call."""
    return row | {"completion": row["completion"].split(PARAMETERS)[0]}
