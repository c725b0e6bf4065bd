"""What a sync did, and how far it is."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Literal, Self

from tool_specs.spec import Record

Outcome = Literal["complete", "limited", "circular"]


class Tally(Record):
    """Counts of a sync, also over interruptions. `read` = `stored` + `set_aside`, in versions."""

    pages: int = 0
    models: int = 0
    """Models that were listed, each once."""
    repeated: int = 0
    """Models that were listed once more than needed."""
    filtered: int = 0
    """Versions that the filters leave out; they count as not read."""
    read: int = 0
    """Versions that were read, and models without any."""
    added: int = 0
    changed: int = 0
    unchanged: int = 0
    set_aside: int = 0
    """Versions, and models without any, that cannot be used; the reasons are in the catalog."""
    checked: int = 0
    """Models that were asked for one by one, because they or a version of them were missing."""
    gone: int = 0
    """Versions that are no longer on Civitai: kept, but not offered."""

    @property
    def stored(self) -> int:
        """Versions that are in the catalog now as they were read."""
        return self.added + self.changed + self.unchanged

    def __add__(self, other: Self) -> Self:
        mine, theirs = self.model_dump(), other.model_dump()
        return type(self)(**{name: mine[name] + theirs[name] for name in mine})


@dataclass(frozen=True, slots=True)
class SyncProgress:
    """How far a sync is. Civitai does not say how much it will list."""

    phase: Literal["listing", "checking"]
    tally: Tally
    reached: datetime | None
    """Date of the oldest model so far; they come newest first."""
    until: datetime | None
    """Date at which it will stop; None where it reads to the end."""
    expected_models: int | None
    """Models that the last complete run listed, where this run will list as many or more."""
    to_check: int
    """Models to be asked for one by one."""


@dataclass(frozen=True, slots=True)
class SyncSummary:
    """What a sync did."""

    tally: Tally
    """All of it, with what was done before interruptions."""
    full: bool
    """Whether it read everything; False where it read what is new since the last complete run."""
    resumed: bool
    """Whether it went on with an interrupted one."""
    outcome: Outcome
    """Whether it came to its end, or to its limit, or Civitai's list repeated itself without end."""
