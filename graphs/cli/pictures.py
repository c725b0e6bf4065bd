"""What the commands share that bring one picture to its best."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import cast

from langgraph.checkpoint.base import BaseCheckpointSaver

from graphs.agent import DiffAgentGraph
from graphs.cli.approval import ask
from graphs.cli.progress import RequestProgress
from graphs.cli.report import Report
from graphs.cli.tables import console
from graphs.cli.threads import RequestThread, going_on, thread_name
from graphs.folders import check_writable
from graphs.nodes.approve import Decision, Question
from graphs.pins import check_pins
from graphs.refine import RefineGraph
from graphs.state import Options
from graphs.workshop import Workshop
from tool_specs.command_line import BAD_USAGE, exit_code


def draw_picture(
    command: str,
    workshop: Workshop,
    graph: Callable[[BaseCheckpointSaver[str]], DiffAgentGraph | RefineGraph],
    text: str | None,
    options: Options,
    *,
    thread: str | None,
    out: Path | None,
    as_json: bool,
) -> int:
    """Run a graph to its end, report its attempts on stdout, and copy the best picture.

    Args:
        command: Its name, for whoever goes on with it.
        workshop: The parts.
        graph: Makes the graph of them.
        text: What to draw; `None` goes on with a thread.
        options: What the person fixed.
        thread: Name of the thread, if one was given.
        out: Where to copy the picture.
        as_json: Report as one JSON document.

    Returns:
        The exit code.
    """
    thread = thread_name(text, thread)
    if out is not None:
        check_writable(out, remedy="choose another --out")
    check_pins(workshop.catalog, options)
    screen = console(stderr=True)
    progress = RequestProgress(screen, workshop.name, thread)

    def asked(question: Question) -> Decision:
        with progress.paused():
            return ask(question, screen)

    error: BaseException | None = None
    with workshop.threads() as threads:
        running = RequestThread(cast("DiffAgentGraph", graph(threads)), thread, watch=progress.show, ask=asked)
        try:
            with progress:
                state = running.run(text, options)
        except (Exception, KeyboardInterrupt) as raised:
            if exit_code(raised) == BAD_USAGE:
                raise
            error, state = raised, running.state()
    report = Report.of(state, thread, error, go_on=going_on(command, workshop.chosen, thread))
    if out is not None:
        report.save(out, workshop.name)
    report.print(as_json=as_json, name=workshop.name)
    return report.exit_code
