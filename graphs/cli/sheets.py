"""What the commands share that draw several pictures and put them on a sheet."""

from __future__ import annotations

import json
import os
import sys
import traceback
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypedDict, cast

import click
from langgraph.checkpoint.base import BaseCheckpointSaver
from rich.markup import escape
from rich.table import Table

from diffagent_tools.artifacts import ImageReference
from graphs.branches import Branch
from graphs.cli.approval import ask
from graphs.cli.exits import STATUS_CODES
from graphs.cli.progress import RequestProgress
from graphs.cli.report import Problem
from graphs.cli.saving import MAX_WORDS, save_picture, slug
from graphs.cli.tables import VERDICT_STYLES, Name, console
from graphs.cli.threads import RequestThread, going_on, thread_name
from graphs.compare import CompareGraph
from graphs.folders import check_writable
from graphs.state import Options, Outcome
from graphs.storyboard import StoryboardGraph
from graphs.workshop import Workshop
from tool_specs.command_line import BAD_USAGE, DONE, exit_code, one_line
from tool_specs.exceptions import ArtifactError


class Row(TypedDict):
    """One picture of the sheet."""

    title: str
    told: str
    """What it shows."""
    branch: Branch
    reward: float | None


@dataclass(frozen=True, slots=True)
class SheetCommand:
    """One of these commands.

    Attributes:
        name: Of the command.
        graph: Makes the graph.
        rows: The pictures in a finished state, in order.
        branch: From the `branch` of an event to what people call it.
    """

    name: str
    graph: Callable[[BaseCheckpointSaver[str]], CompareGraph | StoryboardGraph]
    rows: Callable[[Mapping[str, object]], list[Row]]
    branch: Name


def draw_sheet(
    command: SheetCommand,
    workshop: Workshop,
    text: str | None,
    options: Options,
    *,
    thread: str | None,
    out: Path | None,
    as_json: bool,
) -> int:
    """Run a graph to its end, report it on stdout, and copy its pictures.

    Returns:
        The exit code.
    """
    thread = thread_name(text, thread)
    if out is not None:
        check_writable(out, remedy="choose another --out")
    screen = console(stderr=True)
    progress = RequestProgress(screen, workshop.name, thread, branch=command.branch)
    error: BaseException | None = None
    with workshop.threads() as threads:
        graph = cast("CompareGraph", command.graph(threads))
        running = RequestThread(graph, thread, watch=progress.show, ask=lambda question: ask(question, screen))
        try:
            with progress:
                state: Mapping[str, object] = running.run(text, options)
        except (Exception, KeyboardInterrupt) as raised:
            if exit_code(raised) == BAD_USAGE:
                raise
            error, state = raised, running.state()
    go_on = going_on(command.name, workshop.chosen, thread)
    return _reported(command, state, thread, error, out, go_on=go_on, as_json=as_json)


def _reported(
    command: SheetCommand,
    state: Mapping[str, object],
    thread: str,
    error: BaseException | None,
    out: Path | None,
    *,
    go_on: str,
    as_json: bool,
) -> int:
    """Write the report, and copy the pictures where that is wished."""
    outcome = cast("Outcome | None", state.get("outcome"))
    sheet = cast("ImageReference | None", state.get("sheet"))
    rows, saved = command.rows(state), cast("list[Path]", [])
    problem = _problem(error, outcome)
    if out is not None and sheet is not None:
        try:
            saved = _saved(out, str(state.get("request", "")), sheet, rows)
        except ArtifactError as failed:
            problem = _problem(failed, outcome)
    if as_json:
        document = {
            "request": state.get("request"), "thread": thread,
            "status": outcome["status"] if outcome else "interrupted",
            "reason": outcome["reason"] if outcome else problem["message"] if problem else "", "sheet": sheet,
            "rows": rows, "saved": [str(path) for path in saved], "error": problem,
        }  # fmt: skip
        click.echo(json.dumps(document, ensure_ascii=False, indent=2 if sys.stdout.isatty() else None))
    else:
        if rows:
            console().print(_table(rows))
        if problem is not None:
            click.echo(f"diffagent: {problem['message']}", err=True)
        if outcome is None:
            click.echo(f"go on with: {go_on}", err=True)
        if sheet is not None:
            click.echo(str(saved[0] if saved else sheet["path"]))
    return problem["exit_code"] if problem else DONE


def _problem(error: BaseException | None, outcome: Outcome | None) -> Problem | None:
    """What went wrong, if anything."""
    if error is not None:
        if os.environ.get("DIFFAGENT_DEBUG"):
            traceback.print_exception(error)
        return {"type": type(error).__name__, "message": one_line(error), "exit_code": exit_code(error)}
    if outcome is not None and (code := STATUS_CODES[outcome["status"]]) != DONE:
        return {"type": outcome["status"], "message": outcome["reason"], "exit_code": code}
    return None


def _saved(folder: Path, request: str, sheet: ImageReference, rows: Sequence[Row]) -> list[Path]:
    """Copy the sheet, then each picture; where they are."""
    name = slug(request, MAX_WORDS) or "pictures"
    saved = [save_picture(sheet, folder, name)]
    for row in rows:
        best = row["branch"]["best"]
        if best is not None and best["reference"] is not None:
            saved.append(save_picture(best["reference"], folder, f"{name}-{slug(row['title'], 24)}"))
    return saved


def _table(rows: Sequence[Row]) -> Table:
    """The pictures in order."""
    table = Table("", "drawn", "reward", "verdict", box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for row in rows:
        best = row["branch"]["best"]
        verdict = best["verdict"] if best else "fault"
        said = verdict if best else row["branch"]["outcome"]["reason"]
        reward = "" if row["reward"] is None else f"{row['reward']:.2f}"
        table.add_row(
            escape(row["title"]), escape(row["told"]), reward, f"[{VERDICT_STYLES[verdict]}]{escape(said)}[/]"
        )
    return table
