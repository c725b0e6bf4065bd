"""What a person sees while a request runs: one line per attempt on stderr, with a bar while it is drawn."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import Self, cast

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn

from graphs.cli.tables import Name, loras_line, parameters_line
from graphs.events import Event
from graphs.state import Attempt, Candidate, JsonDict

MAX_NAMES = 4
"""Models of the shortlist that are named."""


class RequestProgress:
    """Shows the events of a request as they come. Use it as a context manager."""

    def __init__(self, console: Console, name: Name, thread: str, *, branch: Name = str) -> None:
        """Show a thread.

        Args:
            console: Where to write.
            name: From a spec id to what people call the model.
            thread: The thread's name.
            branch: From the `branch` of an event to what people call it.
        """
        self._thread = thread
        self._branch = branch
        self._console = console
        self._name = name
        self._bars = Progress(
            TextColumn("{task.description}"), BarColumn(bar_width=24), MofNCompleteColumn(),
            TextColumn("{task.fields[unit]}"),
            console=console, transient=True, disable=not console.is_terminal,
        )  # fmt: skip
        self._tasks: dict[object, TaskID] = {}
        self._shows = {
            "shortlist": self._shortlist,
            "call": self._call,
            "weights": self._weights,
            "step": self._step,
            "retry": self._retry,
            "attempt": self._attempt,
            "outcome": self._outcome,
            "shots": self._shots,
            "critique": self._critique,
        }

    def __enter__(self) -> Self:
        """Start to show."""
        self._bars.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Take the bar away; the lines stay."""
        self._bars.stop()

    def show(self, event: Event) -> None:
        """Show one event; those that have no line of their own are left to the final table."""
        show = self._shows.get(str(event["event"]))
        if show is not None:
            show(event)

    @contextmanager
    def paused(self) -> Iterator[None]:
        """Take the bar away while a person is asked something."""
        self._bars.stop()
        try:
            yield
        finally:
            self._bars.start()

    def _say(self, line: str) -> None:
        self._console.print(line, soft_wrap=True)

    def _label(self, event: Event) -> str:
        """Which attempt an event is about, and of which branch."""
        attempt = f"attempt {event['attempt']}"
        return escape(f"{self._branch(str(event['branch']))}, {attempt}") if "branch" in event else attempt

    def _shortlist(self, event: Event) -> None:
        if "branch" in event:
            return
        models = cast("list[Candidate]", event["models"]) if event["fits"] else []
        best = [one for one in models if one["matched"]] or models
        names = ", ".join(f"{one['name']} {one['score']:.2f}" for one in best[:MAX_NAMES])
        self._say(f"[dim]thread[/]     {self._thread}")
        self._say(f"[dim]shortlist[/]  {escape(names) or 'nothing fits'}")

    def _call(self, event: Event) -> None:
        model, arguments = cast("str | None", event["model"]), cast("JsonDict", event["arguments"])
        parts = (self._name(model) if model else str(event["tool"]), loras_line(arguments, self._name),
                 parameters_line(arguments))  # fmt: skip
        label = f"[dim]{self._label(event)}[/]"
        self._say(f"{label}  {escape(' · '.join(part for part in parts if part))}")
        self._end(event)
        self._tasks[event.get("branch")] = self._bars.add_task(label, total=None, unit="steps")

    def _weights(self, event: Event) -> None:
        if (task := self._tasks.get(event.get("branch"))) is not None:
            done, total = (cast("int", event[name]) // 2**20 for name in ("done", "total"))
            self._bars.update(task, completed=done, total=total or None, unit=f"MB, {event['what']}")

    def _step(self, event: Event) -> None:
        if (task := self._tasks.get(event.get("branch"))) is not None:
            self._bars.update(
                task, completed=cast("int", event["step"]), total=cast("int", event["total"]), unit="steps"
            )

    def _retry(self, event: Event) -> None:
        self._say(f"[yellow]{self._label(event)}[/]  {escape(str(event['reason']))}; trying it again")

    def _attempt(self, event: Event) -> None:
        self._end(event)
        attempt = cast("Attempt", event)
        told = attempt["reason"] or attempt["verdict"]
        self._say(f"[dim]{self._label(event)}[/]  {escape(told)} [dim]({attempt['seconds']:.1f} s)[/]")

    def _outcome(self, event: Event) -> None:
        self._end(event)
        if "branch" in event and event["best"] is None:
            self._say(f"[red]{escape(self._branch(str(event['branch'])))}[/]  {escape(str(event['reason']))}")

    def _shots(self, event: Event) -> None:
        shots = cast("list[str]", event["shots"])
        self._say(f"[dim]thread[/]     {self._thread}")
        self._say(f"[dim]shots[/]      {len(shots)}" + (f", {escape(str(event['style']))}" if event["style"] else ""))

    def _critique(self, event: Event) -> None:
        self._say(f"[dim]attempt {event['attempt']}[/]  {escape(str(event['why']))}")

    def _end(self, event: Event) -> None:
        """Take away the bar of the attempt that is over."""
        if (task := self._tasks.pop(event.get("branch"), None)) is not None:
            self._bars.remove_task(task)
