"""`diffagent draw`: from a request to the best picture of it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from graphs.cli.options import fixed_options, json_option, planner_option
from tool_specs.command_line import BAD_USAGE, exit_code

if TYPE_CHECKING:
    from graphs.nodes.approve import Decision, Question
    from graphs.workshop import PlannerName


@click.command(name="draw")
@click.argument("request", required=False)
@click.option("--out", type=click.Path(path_type=Path), metavar="DIR", help="Copy the best picture there, under a "
              "readable name that is new.")  # fmt: skip
@click.option("--attempts", type=int, metavar="N", help="Most pictures to draw (default 3, at most 20).")
@click.option("--seconds", type=float, metavar="N", help="Start no new attempt after this long (default 600).")
@click.option("--approve", is_flag=True, help="Ask before each picture: y draws it, n wants another call, e edits it.")
@click.option("--thread", metavar="ID", help="Name of the request; with one that exists, go on with it: finished "
              "attempts are not drawn again.")  # fmt: skip
@fixed_options
@planner_option
@json_option
def command(
    request: str | None,
    out: Path | None,
    attempts: int | None,
    seconds: float | None,
    approve: bool,
    thread: str | None,
    planner: PlannerName | None,
    as_json: bool,
    **fixed: object,
) -> int:
    """Draw REQUEST, judge it, and try again when it is poor. The best picture counts.

    \b
    Examples:
      diffagent draw "a fox in pixel art on a blue background"
      diffagent draw "a kitten, 8-bit" --out pictures --attempts 5
      diffagent draw "a castle" --model civitai:9003@9103 --lora civitai:9011@9111:0.7 --steps 30 --seed 7
      diffagent draw "a pizza" --approve            asks before it draws
      diffagent draw --thread a-pizza-3f2a91        goes on after an interruption
      diffagent draw "a bus" --json | jq -r .best.reference.path

    Progress goes to stderr, the table of attempts and the path of the best picture to stdout.
    """  # noqa: D301 - the \b is click's mark for lines to keep
    from graphs.cli.approval import ask
    from graphs.cli.fixed import options_of
    from graphs.cli.progress import RequestProgress
    from graphs.cli.report import Report
    from graphs.cli.tables import console
    from graphs.cli.threads import RequestThread, thread_name
    from graphs.folders import check_writable
    from graphs.pins import check_pins
    from graphs.request import checked_request
    from graphs.workshop import Workshop

    text = None if request is None else checked_request(request)
    options = options_of(fixed, max_attempts=attempts, max_seconds=seconds, approve=approve)
    thread = thread_name(text, thread)
    if out is not None:
        check_writable(out, remedy="choose another --out")
    workshop = Workshop(planner)
    check_pins(workshop.catalog, options)

    screen = console(stderr=True)
    progress = RequestProgress(screen, workshop.name, thread)

    def asked(question: Question) -> Decision:
        with progress.paused():
            return ask(question, screen)

    error: BaseException | None = None
    with workshop.threads() as threads:
        running = RequestThread(workshop.graph(threads), thread, watch=progress.show, ask=asked)
        try:
            with progress:
                state = running.run(text, options)
        except (Exception, KeyboardInterrupt) as raised:
            if exit_code(raised) == BAD_USAGE:
                raise
            error, state = raised, running.state()
    report = Report.of(state, thread, error)
    if out is not None:
        report.save(out, workshop.name)
    report.print(as_json=as_json, name=workshop.name)
    return report.exit_code
