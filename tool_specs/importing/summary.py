"""What an import came to. Everything that was read is stored or set aside."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final

from tool_specs.store.rows import Counts

_MAX_REASONS: Final = 1000
_OTHER: Final = "other reasons"


@dataclass(slots=True)
class PathSummary:
    """What one PATH came to.

    Attributes:
        path: The file or folder.
        counts: Specs or evidence that were stored, or were stored already.
        linked: Weights files of specs that the catalog holds.
        set_aside: What could not be read or used.
        reasons: The same by reason.
        ignored: Files that describe no model; they are not counted as read.
        forgotten: Weights files that have gone since the last import.
        problem: What kept a part of the work from being done, such as a look-up without network; empty for nothing.
    """

    path: str
    counts: Counts = field(default_factory=Counts)
    linked: int = 0
    set_aside: int = 0
    reasons: Counter[str] = field(default_factory=Counter)
    ignored: int = 0
    forgotten: int = 0
    problem: str = ""
    read: int = 0

    @property
    def stored(self) -> int:
        """What is in the catalog now."""
        return self.counts.added + self.counts.changed + self.counts.unchanged + self.linked

    def add_reason(self, reason: str) -> None:
        """Count something that was set aside."""
        self.set_aside += 1
        known = reason in self.reasons or len(self.reasons) < _MAX_REASONS
        self.reasons[reason if known else _OTHER] += 1


def total(summaries: Iterable[PathSummary]) -> PathSummary:
    """All of them together."""
    whole = PathSummary("total")
    for one in summaries:
        whole.read += one.read
        whole.counts += one.counts
        whole.linked += one.linked
        whole.set_aside += one.set_aside
        whole.reasons += one.reasons
        whole.ignored += one.ignored
        whole.forgotten += one.forgotten
    return whole
