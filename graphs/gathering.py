"""How the results of parallel branches come together in one key of the state."""

from __future__ import annotations

from typing import TypeVar

Result = TypeVar("Result")


def gathered(kept: list[Result], new: list[Result] | None) -> list[Result]:
    """A reducer: each branch adds its results; `None` starts anew, for the next request on the same thread."""
    return [] if new is None else [*kept, *new]
