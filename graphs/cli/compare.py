"""`diffagent compare`: one request drawn by several models, side by side."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, cast

import click

from graphs.cli.options import fixed_options, json_option, planner_option, run_options, stored_option

if TYPE_CHECKING:
    from graphs.cli.sheets import Row
    from graphs.compare import Contender
    from graphs.workshop import PlannerName


@click.command(name="compare")
@click.argument("request", required=False)
@click.option("--models", type=click.IntRange(1, 20), default=4, show_default=True, help="Most models that draw.")
@run_options
@fixed_options
@planner_option
@stored_option
@json_option
def command(
    request: str | None,
    models: int,
    out: Path | None,
    attempts: int | None,
    seconds: float | None,
    thread: str | None,
    planner: PlannerName | None,
    stored: bool,
    as_json: bool,
    **fixed: object,
) -> int:
    """Draw REQUEST with the models that suit it best, each from the same seed, and rank their pictures.

    \b
    Examples:
      diffagent compare "a castle at sunset, watercolor"
      diffagent compare "a fox" --models 3 --attempts 2 --out pictures

    Each model draws one picture unless --attempts allows more. The ranking and the path of the contact sheet go to
    stdout.
    """  # noqa: D301 - the \b is click's mark for lines to keep
    from graphs.cli.fixed import options_of
    from graphs.cli.sheets import SheetCommand, draw_sheet
    from graphs.pins import check_pins
    from graphs.request import checked_request
    from graphs.workshop import Workshop

    text = None if request is None else checked_request(request)
    options = options_of(fixed, max_attempts=attempts, max_seconds=seconds)
    workshop = Workshop(planner, stored=stored)
    check_pins(workshop.catalog, options)
    comparing = SheetCommand(
        "compare", lambda threads: workshop.compare(threads, models=models), rows_of, workshop.name
    )
    return draw_sheet(comparing, workshop, text, options, thread=thread, out=out, as_json=as_json)


def rows_of(state: Mapping[str, object]) -> list[Row]:
    """The models best first; while the comparison goes on, those that are ready."""
    contenders = cast("list[Contender]", state.get("ranking") or state.get("finished") or [])
    return [
        {
            "title": one["model"]["name"],
            "told": str(((one["best"] or {}).get("call") or {}).get("prompt", "")),  # type: ignore[call-overload]
            "branch": {"best": one["best"], "attempts": one["attempts"], "outcome": one["outcome"]},
            "reward": one["reward"],
        }
        for one in contenders
    ]
