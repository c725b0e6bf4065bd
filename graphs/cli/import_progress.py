"""What a person sees while files are imported: one bar for each thing that takes time, on stderr."""

from __future__ import annotations

from types import TracebackType
from typing import Self

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeRemainingColumn


class ImportProgress:
    """Shows how far an import has come, on a terminal only. Use it as a context manager."""

    def __init__(self, console: Console) -> None:
        """Write to `console`."""
        self._bars = Progress(
            TextColumn("{task.description}"), BarColumn(bar_width=24), TextColumn("{task.percentage:>3.0f} %"),
            TimeRemainingColumn(), console=console, transient=True, disable=not console.is_terminal,
        )  # fmt: skip
        self._task: TaskID | None = None

    def __enter__(self) -> Self:
        """Start to show."""
        self._bars.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Take the bar away."""
        self._bars.stop()

    def show(self, what: str, done: int, end: int) -> None:
        """Show one step."""
        if self._task is None:
            self._task = self._bars.add_task("", total=None)
        self._bars.update(self._task, description=f"[dim]{escape(what)}[/]", completed=done, total=end or None)
