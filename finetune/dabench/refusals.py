"""Questions that a planner's server refuses: some may be too long, but one that refuses all is set up wrongly."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from finetune.dabench.results import Result
from tool_specs.exceptions import BackendError

MAX_REFUSALS: Final = 8
"""Refused questions after which a planner that has answered none is taken to be set up wrongly."""


class RowWriter:
    """Writes rows as they come, but refused questions of a planner only when it has answered one.

    Args:
        write: Writes a row.
    """

    def __init__(self, write: Callable[[Result], None]) -> None:
        self._write = write
        self._answering: set[str] = set()
        self._held: dict[str, list[Result]] = {}

    def add(self, row: Result, before: Result | None) -> None:
        """Write a row, or hold it back.

        Args:
            row: As it is now.
            before: As it was written by an earlier run; None for a question that was asked now.

        Raises:
            BackendError: The planner's server has refused the first questions, all of them.
        """
        if before is None and row.refused and row.planner not in self._answering:
            held = self._held.setdefault(row.planner, [])
            held.append(row)
            if len(held) >= MAX_REFUSALS:
                raise _set_up_wrongly(held)
            return
        if row.seconds:  # else nobody was asked
            self._answering.add(row.planner)
            for refused in self._held.pop(row.planner, []):
                self._write(refused)
        if row is not before:
            self._write(row)

    def finish(self) -> None:
        """See that no row is held back at the end.

        Raises:
            BackendError: A planner's server has refused all questions.
        """
        for held in self._held.values():
            raise _set_up_wrongly(held)


def _set_up_wrongly(refused: list[Result]) -> BackendError:
    last = refused[-1]
    return BackendError(
        f"the server of the planner {last.planner!r} refused all of the first {len(refused)} questions, the last one "
        f"with {last.problem}; set it up for tool calls and prompts of this length, and run again: none of it is kept"
    )
