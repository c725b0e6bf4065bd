"""`diffagent refine`: a picture made better step by step."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from graphs.cli.options import approve_option, fixed_options, json_option, planner_option, run_options, stored_option

if TYPE_CHECKING:
    from graphs.workshop import PlannerName


@click.command(name="refine")
@click.argument("request", required=False)
@run_options
@approve_option
@fixed_options
@planner_option
@stored_option
@json_option
def command(
    request: str | None,
    out: Path | None,
    attempts: int | None,
    seconds: float | None,
    approve: bool,
    thread: str | None,
    planner: PlannerName | None,
    stored: bool,
    as_json: bool,
    **fixed: object,
) -> int:
    """Draw REQUEST, then make the picture better: each further attempt begins from the best one so far.

    \b
    Examples:
      diffagent refine "a castle at sunset, watercolor"
      diffagent refine "a fox" --attempts 8 --out pictures

    It ends when a picture is good enough, or after 5 of them unless --attempts says how many. Progress goes to stderr,
    the table of attempts and the path of the best picture to stdout.
    """  # noqa: D301 - the \b is click's mark for lines to keep
    from graphs.cli.fixed import options_of
    from graphs.cli.pictures import draw_picture
    from graphs.request import checked_request
    from graphs.workshop import Workshop

    text = None if request is None else checked_request(request)
    options = options_of(fixed, max_attempts=attempts, max_seconds=seconds, approve=approve)
    workshop = Workshop(planner, stored=stored)
    return draw_picture("refine", workshop, workshop.refine, text, options, thread=thread, out=out, as_json=as_json)
