"""How a request ended: for people as a table, for programs as one JSON document."""

from __future__ import annotations

import json
import os
import sys
import traceback
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self, TypedDict

import click
from rich.markup import escape

from graphs.cli.exits import DRAWN, STATUS_CODES
from graphs.cli.saving import picture_name, save_picture
from graphs.cli.tables import Name, attempts_table, console, models_table
from graphs.state import Attempt, DiffAgentState, Outcome, Shortlisted
from tool_specs.command_line import exit_code, one_line
from tool_specs.exceptions import ArtifactError


class Problem(TypedDict):
    """Why there is no picture, or not the one that was asked for."""

    type: str
    message: str
    exit_code: int


@dataclass(slots=True)
class Report:
    """Everything a person or a program wants to know at the end of a request.

    Attributes:
        request: What was asked for.
        thread: Where it can be gone on with.
        outcome: How it ended; `None` when it was broken off.
        attempts: All attempts.
        best: The best of them.
        shortlist: What retrieval offered; `None` when it was broken off before.
        saved: Where the best picture was copied to.
        error: What went wrong.
        go_on: The command that goes on with it.
    """

    request: str
    thread: str
    outcome: Outcome | None
    attempts: Sequence[Attempt]
    best: Attempt | None
    shortlist: Shortlisted | None
    saved: Path | None = None
    error: Problem | None = None
    go_on: str = ""

    @classmethod
    def of(cls, state: DiffAgentState, thread: str, error: BaseException | None, *, go_on: str = "") -> Self:
        """Make the report of a thread's state, and of what broke it off, if anything did."""
        outcome = state.get("outcome")
        report = cls(
            request=state.get("request", ""),
            thread=thread,
            outcome=outcome,
            attempts=state.get("attempts", []),
            best=state.get("best"),
            shortlist=state.get("shortlist"),
            go_on=go_on,
        )
        if error is not None:
            report.broken_off(error)
        elif outcome is not None and (code := STATUS_CODES[outcome["status"]]) != DRAWN:
            report.error = {"type": outcome["status"], "message": outcome["reason"], "exit_code": code}
        return report

    @property
    def exit_code(self) -> int:
        """The exit code that belongs to this end."""
        return self.error["exit_code"] if self.error is not None else DRAWN

    def broken_off(self, error: BaseException) -> None:
        """Put down what went wrong."""
        if os.environ.get("DIFFAGENT_DEBUG"):
            traceback.print_exception(error)
        self.error = {"type": type(error).__name__, "message": one_line(error), "exit_code": exit_code(error)}

    def save(self, folder: Path, name: Name) -> None:
        """Copy the best picture to a folder; that it cannot be copied becomes the report's error."""
        if self.best is None or self.best["reference"] is None:
            return
        title = picture_name(self.request, self.best, name(self.best["model"] or self.best["tool"]))
        try:
            self.saved = save_picture(self.best["reference"], folder, title)
        except ArtifactError as error:
            self.broken_off(error)

    def print(self, *, as_json: bool, name: Name) -> None:
        """Write the report to stdout, its error to stderr."""
        if as_json:
            click.echo(json.dumps(self.document(), ensure_ascii=False, indent=2 if sys.stdout.isatty() else None))
        else:
            self._print_table(name)

    def document(self) -> dict[str, object]:
        """The report as JSON values."""
        return {
            "request": self.request,
            "thread": self.thread,
            "status": self.outcome["status"] if self.outcome else "interrupted",
            "reason": self.outcome["reason"] if self.outcome else self.error["message"] if self.error else "",
            "best": self.best,
            "saved": str(self.saved) if self.saved else None,
            "attempts": list(self.attempts),
            "shortlist": self.shortlist,
            "error": self.error,
        }

    def _print_table(self, name: Name) -> None:
        """Write the table of attempts and where the best picture is; the path stands alone on the last line."""
        screen = console()
        if self.attempts:
            screen.print(attempts_table(self.attempts, self.best["n"] if self.best else None, name))
        if self.outcome is not None and self.outcome["nearest"]:
            screen.print(models_table(self.outcome["nearest"]))
        if self.error is not None:
            click.echo(f"diffagent: {self.error['message']}", err=True)
        if self.outcome is None:
            click.echo(f"go on with: {self.go_on}", err=True)
        elif self.outcome["nearest"]:
            click.echo("these are the nearest; --force draws with them anyway", err=True)
        if self.best is not None and self.best["reference"] is not None:
            reasons = [self.best["reason"]]
            if self.outcome is not None and self.outcome["reason"] != self.best["reason"]:
                reasons.append(self.outcome["reason"])
            screen.print(f"[dim]attempt {self.best['n']}: {escape('; '.join(reasons))}[/]", soft_wrap=True)
            click.echo(str(self.saved or self.best["reference"]["path"]))
