"""`diffagent search`: which models could draw something."""

from __future__ import annotations

import json
import math
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import click

from graphs.cli.exits import DRAWN, NOTHING_FITS
from graphs.cli.options import json_option
from tool_specs.exceptions import RequestError
from tool_specs.spec import RATINGS, ContentRating

if TYPE_CHECKING:
    from graphs.workshop import Workshop
    from tool_specs.rules import Rules
    from tool_specs.search.shortlist import Shortlist

MAX_EXCLUDED = 20


@click.command(name="search")
@click.argument("request", required=False)
@click.option(
    "-n",
    "-k",
    "--limit",
    "--k",
    type=click.IntRange(1, 100),
    default=8,
    show_default=True,
    help="Most models of each kind to show.",
)
@click.option("--commercial", is_flag=True, help="Only models whose pictures may be sold.")
@click.option("--rating", type=click.Choice(RATINGS), default="safe", show_default=True, help="The strongest content.")
@click.option(
    "--memory",
    type=click.FloatRange(min=0, min_open=True),
    metavar="GB",
    help="Only models whose weights the device can hold.",
)
@click.option("--why", is_flag=True, help="Also show models that the rules keep out, with the reason.")
@click.option("--pocket", is_flag=True, help="Search the models that ship with the package, not your catalog.")
@click.option(
    "--queries",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    metavar="FILE",
    help='Answer many at once: a JSON object {"id", "text", "type"?, "base_model"?} in each line. All models '
    "are ranked, also those that may not be offered.",
)
@json_option
def command(request: str | None, limit: int, commercial: bool, rating: ContentRating, memory: float | None, why: bool,
            pocket: bool, queries: Path | None, as_json: bool) -> int:  # fmt: skip
    """Find models for REQUEST, best first, with the LoRAs that go with them and why each was found.

    Your catalog is searched (see `diffagent sync` and `diffagent import`); where there is none, the models that ship
    with the package.

    \b
    Examples:
      diffagent search "vehicles"
      diffagent search "a kitten, 8-bit" --json
      diffagent search "a castle at sunset, oil painting" --commercial --why
      diffagent search --queries requests.jsonl --k 10 --json
    """  # noqa: D301 - the \b is click's mark for lines to keep
    from graphs.workshop import Workshop

    workshop = Workshop()
    if queries is not None and (pocket or commercial or why or memory is not None or rating != RATINGS[0]):
        msg = "--queries ranks all models of your catalog: it goes with --k and --json alone"
        raise click.UsageError(msg)
    if queries is not None:
        return _answer(workshop, queries, limit, given=request)
    if request is None:
        msg = 'no request was given: write diffagent search "a red car", or --queries FILE'
        raise RequestError(msg)
    from graphs.request import checked_request

    text = checked_request(request)
    rules = _rules(workshop, commercial=commercial, rating=rating, memory=memory)
    stored = not pocket and workshop.has_stored_catalog
    if stored:
        shortlist = workshop.stored_shortlister(rules).shortlist(text, k=limit, explain=why)
    else:
        shortlist = workshop.pocket_shortlister(rules).shortlist(text, k=limit)
    return _show(text, shortlist, stored=stored, why=why, as_json=as_json)


def _rules(workshop: Workshop, *, commercial: bool, rating: ContentRating, memory: float | None) -> Rules:
    from tool_specs.rules import GB, Rules

    if memory is not None and not math.isfinite(memory):
        raise click.BadParameter(f"{memory} is no number of gigabytes: write for example 12", param_hint="--memory")
    home = next(folder for folder in (workshop.home, *workshop.home.parents) if folder.exists())
    return Rules(
        ratings=RATINGS[: RATINGS.index(rating) + 1],
        commercial=commercial,
        disk=shutil.disk_usage(home).free,
        memory=None if memory is None else int(memory * GB),
    )


def _show(text: str, shortlist: Shortlist, *, stored: bool, why: bool, as_json: bool) -> int:
    from graphs.cli.tables import console, excluded_table, models_table
    from graphs.offer import recorded

    found = recorded(shortlist)
    networks = [one for one in found["networks"] if stored or one["matched"]]
    code = DRAWN if found["fits"] or (networks and not stored) else NOTHING_FITS
    message = f"no model here can draw {text!r}"
    excluded = shortlist.excluded[:MAX_EXCLUDED] if why else ()
    if as_json:
        error = None if code == DRAWN else {"type": "nothing_fits", "message": message, "exit_code": code}
        document = {"request": text, **found, "error": error}
        if why:
            document["excluded"] = [{"id": name, "reason": reason} for name, reason in excluded]
        click.echo(json.dumps(document, ensure_ascii=False))
        return code
    if code != DRAWN:
        click.echo(f"diffagent: {message}; these are the nearest", err=True)
        console().print(models_table(found["nearest"]))
    else:
        console().print(models_table([*(found["models"] if found["fits"] else ()), *networks]))
    if excluded:
        console().print(excluded_table(excluded))
    return code


def _answer(workshop: Workshop, path: Path, limit: int, *, given: str | None) -> int:
    """Answer each line of a file with a line."""
    if given is not None:
        msg = f"both a request ({given[:40]!r}) and --queries were given; give one"
        raise RequestError(msg)
    from graphs.cli.queries import answers

    for answer in answers(workshop.stored_shortlister(), path, limit):
        click.echo(json.dumps(answer, ensure_ascii=False))
    return DRAWN
