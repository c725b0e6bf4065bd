"""Evidence that may become pairs: read from a catalog or an archive, filtered, each request and answer once."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import date
from typing import Final

from finetune.dabench.calls import Dropped, ids_in, read_call
from finetune.dabench.descriptions import names_in, ordinary_words, plain_description
from finetune.dabench.filters import reason_against
from finetune.dabench.mapping import Sourced
from tool_specs.calls import Call
from tool_specs.ranking.texts import words
from tool_specs.spec import ContentRating, ToolSpec
from tool_specs.store.batches import batches
from tool_specs.store.database import CatalogDatabase
from tool_specs.store.rows import Evidence

REPEATED: Final = "it repeats another request for the same models"

OnStep = Callable[[str, int, int], None]
"""Told what is done, how far it has come, and where it ends; 0 where that is unknown."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """What may become a pair.

    Attributes:
        text: What was asked for, as the source has it.
        description: The same in plain words.
        avoid: Names that its instruction must not tell.
        call: The call that drew it.
        types: Model type of each of them, by spec id.
        created: When the newest of them was published.
        source: Id of the evidence.
        split: Where its source put it; empty where it does not say.
    """

    text: str
    description: str
    avoid: frozenset[str]
    call: Call
    types: dict[str, str]
    created: date | None
    source: str
    split: str

    @property
    def models(self) -> tuple[str, ...]:
        """Spec ids of the gold models, the checkpoint's first."""
        return self.call.checkpoint, *(use.id for use in self.call.loras)

    @property
    def answer(self) -> tuple[str, ...]:
        """What makes two candidates the same: the words asked for, and the models."""
        return (*words(self.description), "\n", *sorted(self.models))


@dataclass(slots=True)
class Collected:
    """Candidates, and how many pieces of evidence became none, by reason."""

    candidates: list[Candidate] = field(default_factory=list)
    dropped: Counter[str] = field(default_factory=Counter)


def evidence_of(database: CatalogDatabase) -> Iterator[Sourced]:
    """All evidence of a catalog."""
    return (Sourced(one) for _, one in numbered_evidence(database))


def numbered_evidence(database: CatalogDatabase) -> Iterator[tuple[int, Evidence]]:
    """All evidence of a catalog with its number; each piece has an id."""
    numbers = (change.number for change in database.evidence_changes(0, database.version))
    for batch in batches(numbers):
        for number, one in database.evidence(batch).items():
            yield number, one if one.id else replace(one, id=f"evidence {number}")


def collect(
    sources: Callable[[], Iterable[Sourced | Dropped]],
    database: CatalogDatabase,
    *,
    rating: ContentRating,
    as_given: bool = False,
    on_step: OnStep,
) -> Collected:
    """Read and filter.

    Args:
        sources: Gives all evidence, as often as it is called: it is read twice.
        database: Where the models are looked up.
        rating: The strongest content allowed.
        as_given: Whether texts become instructions as they are: then all of each is looked at.
        on_step: Told the progress.
    """
    total = 0

    def texts() -> Iterator[tuple[str, set[int]]]:
        nonlocal total
        for one in sources():
            total += 1
            if isinstance(one, Sourced):
                yield one.evidence.text, {use.model_id for use in one.evidence.uses}

    ordinary = ordinary_words(texts())
    collected = Collected()
    answers: set[tuple[str, ...]] = set()
    done = 0
    for batch in batches(sources()):
        specs = database.specs(ids_in([one.evidence for one in batch if isinstance(one, Sourced)]))
        for one in batch:
            found = one if isinstance(one, Dropped) else _candidate(one, specs, ordinary, rating, as_given)
            if isinstance(found, Candidate) and found.answer in answers:
                found = Dropped(REPEATED)
            if isinstance(found, Dropped):
                collected.dropped[found.reason] += 1
                continue
            answers.add(found.answer)
            collected.candidates.append(found)
        done += len(batch)
        on_step("reading", done, total)
    return collected


def _candidate(
    sourced: Sourced, specs: Mapping[str, ToolSpec], ordinary: frozenset[str], rating: ContentRating, as_given: bool
) -> Candidate | Dropped:
    evidence = sourced.evidence
    drawn = read_call(evidence, specs)
    if isinstance(drawn, Dropped):
        return drawn
    avoid = names_in(evidence.text, drawn.specs, ordinary)
    description = plain_description(evidence.text, avoid)
    said = evidence.text if as_given else description
    if reason := reason_against(said, drawn.call, drawn.specs, rating=rating):
        return Dropped(reason)
    dates = [spec.published for spec in drawn.specs if spec.published is not None]
    return Candidate(
        text=evidence.text,
        description=description,
        avoid=avoid,
        call=drawn.call,
        types={spec.id: spec.type for spec in drawn.specs},
        created=max(dates, default=None),
        source=evidence.id,
        split=sourced.split,
    )
