"""`diffagent draw`: from a request to the best picture of it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from graphs.cli.options import approve_option, fixed_options, json_option, planner_option, run_options, stored_option

if TYPE_CHECKING:
    from graphs.workshop import PlannerName


@click.command(name="draw")
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
    from graphs.cli.fixed import options_of
    from graphs.cli.pictures import draw_picture
    from graphs.request import checked_request
    from graphs.workshop import Workshop

    text = None if request is None else checked_request(request)
    options = options_of(fixed, max_attempts=attempts, max_seconds=seconds, approve=approve)
    workshop = Workshop(planner, stored=stored)
    return draw_picture("draw", workshop, workshop.graph, text, options, thread=thread, out=out, as_json=as_json)
