"""The specs whose names come nearest to what somebody wrote."""

from __future__ import annotations

import difflib
import heapq
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from tool_specs.naming import tool_name

_MOST_TEXT: Final = 100
"""Characters of the text that are looked at."""
_COMPARED: Final = 200
"""Specs that are compared letter by letter: those that share the most groups of three letters with the text."""


@dataclass(frozen=True, slots=True)
class SpecName:
    """What a spec is called."""

    id: str
    model_id: int
    version_id: int
    type: str
    model_name: str

    @property
    def tool_name(self) -> str:
        """The name that a language model calls."""
        return tool_name(self.type, self.model_id, self.version_id, self.model_name)


def nearest(text: str, names: Iterable[SpecName], n: int) -> list[SpecName]:
    """The specs with the nearest id, model id, tool name or model name, the nearest first.

    Args:
        text: What somebody wrote.
        names: Any number, taken one by one.
        n: How many to return; fewer if there are not as many.
    """
    text = text[:_MOST_TEXT]
    folded = text.casefold()
    groups = {folded[start : start + 3] for start in range(max(1, len(folded) - 2))}

    def shared(name: SpecName) -> int:
        place = f"{name.id} {name.model_name.casefold()}"
        return sum(group in place for group in groups)

    by_name: dict[str, SpecName] = {}
    for name in heapq.nlargest(_COMPARED, names, key=shared):
        for called in (name.id, str(name.model_id), name.tool_name, name.model_name):
            by_name.setdefault(called, name)
    close = difflib.get_close_matches(text, by_name, n=2 * n, cutoff=0.0)
    return list({by_name[called].id: by_name[called] for called in close}.values())[:n]
