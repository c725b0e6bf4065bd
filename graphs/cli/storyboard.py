"""`diffagent storyboard`: a story as a row of pictures in one style."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, cast

import click

from graphs.cli.options import fixed_options, json_option, planner_option, run_options, stored_option

if TYPE_CHECKING:
    from graphs.cli.sheets import Row
    from graphs.storyboard import Panel
    from graphs.workshop import PlannerName


@click.command(name="storyboard")
@click.argument("story", required=False)
@run_options
@fixed_options
@planner_option
@stored_option
@json_option
def command(
    story: str | None,
    out: Path | None,
    attempts: int | None,
    seconds: float | None,
    thread: str | None,
    planner: PlannerName | None,
    stored: bool,
    as_json: bool,
    **fixed: object,
) -> int:
    """Draw STORY: each sentence is a shot, and all shots have one style. "Style: …" in the story names it.

    \b
    Examples:
      diffagent storyboard "A fox wakes in a meadow. A bear sits in the snow. Style: watercolor."
      diffagent storyboard "$(cat story.txt)" --out pictures --seed 7

    Each shot is drawn again until it is good enough, as by `draw`. The shots and the path of the sheet go to stdout.
    """  # noqa: D301 - the \b is click's mark for lines to keep
    from graphs.cli.fixed import options_of
    from graphs.cli.sheets import SheetCommand, draw_sheet
    from graphs.pins import check_pins
    from graphs.shots import checked_story
    from graphs.workshop import Workshop

    text = None if story is None else checked_story(story)
    options = options_of(fixed, max_attempts=attempts, max_seconds=seconds)
    workshop = Workshop(planner, stored=stored)
    check_pins(workshop.catalog, options)
    telling = SheetCommand("storyboard", workshop.storyboard, rows_of, lambda shot: f"shot {shot}")
    return draw_sheet(telling, workshop, text, options, thread=thread, out=out, as_json=as_json)


def rows_of(state: Mapping[str, object]) -> list[Row]:
    """The shots in order; while the storyboard goes on, those that are ready."""
    panels = cast("list[Panel]", state.get("panels") or state.get("finished") or [])
    return [
        {
            "title": f"shot {panel['shot']['n']}",
            "told": panel["shot"]["text"],
            "branch": {"best": panel["best"], "attempts": panel["attempts"], "outcome": panel["outcome"]},
            "reward": panel["best"]["reward"] if panel["best"] else None,
        }
        for panel in sorted(panels, key=lambda panel: panel["shot"]["n"])
    ]
