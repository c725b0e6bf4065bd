"""`diffagent sync`: bring the catalog in step with Civitai."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, cast

import click

from graphs.cli.exits import DRAWN
from graphs.cli.options import json_option
from tool_specs.command_line import FAILED, exit_code, one_line

if TYPE_CHECKING:
    from graphs.cli.sync_progress import SyncWatch
    from tool_specs.civitai.queries import Period
    from tool_specs.spec import ContentRating
    from tool_specs.syncing import SyncFilters, SyncSummary, Tally

PERIODS = {"day": "Day", "week": "Week", "month": "Month", "year": "Year", "all": "AllTime"}
OUTCOMES = {
    "complete": "complete",
    "limited": "the limit is reached; the same command goes on from there",
    "circular": "Civitai's list repeats itself without coming to its end; the next run starts it anew",
    "interrupted": "interrupted; what is done is kept, and the same command goes on from there",
    "failed": "failed; what is done is kept, and the same command goes on from there",
}


@click.command(name="sync")
@click.option("--types", multiple=True, metavar="TYPES", help="Model types, e.g. Checkpoint,LORA (default: all that "
              "draw).")  # fmt: skip
@click.option("--base-model", "base_models", multiple=True, metavar="NAMES", help='Base models as Civitai spells them, '
              'e.g. "SD 1.5,SDXL 1.0,Pony".')  # fmt: skip
@click.option("--period", type=click.Choice(list(PERIODS)), default="all", show_default=True, help="How long ago the "
              "newest version may have been published.")  # fmt: skip
@click.option("--min-downloads", type=click.IntRange(0), default=0, metavar="N", help="Fewest downloads of a model.")
@click.option("--rating", type=click.Choice(["safe", "mature", "explicit"]), default="safe", show_default=True,
              help="The strongest content.")  # fmt: skip
@click.option("--limit", type=click.IntRange(1), metavar="N", help="Read so many models, then stop; the next run goes "
              "on from there.")  # fmt: skip
@click.option("--full", is_flag=True, help="Read everything again, to notice what changed in old models and which "
              "are gone.")  # fmt: skip
@json_option
def command(
    types: tuple[str, ...],
    base_models: tuple[str, ...],
    period: str,
    min_downloads: int,
    rating: str,
    limit: int | None,
    full: bool,
    as_json: bool,
) -> int:
    """Bring the catalog in step with Civitai.

    The first run reads all models that the options admit; each later one with the same options reads what was published
    since. Stop it at any time: the same command goes on where it stopped. Civitai is asked about once a second.

    \b
    Examples:
      diffagent sync --base-model "SD 1.5,SDXL 1.0" --min-downloads 1000
      diffagent sync --types LORA --period month
      diffagent sync --full
      diffagent sync --limit 500 --json

    CIVITAI_API_KEY holds your key, if you have one. CIVITAI_API_URL is another address of the API: Civitai shows
    everything only at https://civitai.red/api/v1.
    """  # noqa: D301 - the \b is click's mark for lines to keep
    from graphs.cli.sync_progress import SyncWatch
    from graphs.cli.tables import console
    from tool_specs.exceptions import DiffAgentError
    from tool_specs.syncing import SyncFilters
    from tool_specs.syncing.filters import DRAWING_TYPES

    filters = SyncFilters(
        types=_names(types) or DRAWING_TYPES,
        base_models=_names(base_models),
        period=cast("Period", PERIODS[period]),
        min_downloads=min_downloads,
        rating=cast("ContentRating", rating),
    )
    with SyncWatch(console(stderr=True)) as watch:
        try:
            summary = asyncio.run(_sync(filters, watch, full=full, limit=limit))
        except (KeyboardInterrupt, DiffAgentError) as error:
            if watch.tally is None:
                raise
            failure: BaseException | None = error
            tally, code = watch.tally, exit_code(error)
            outcome = "interrupted" if isinstance(error, KeyboardInterrupt) else "failed"
        else:
            failure, tally, outcome = None, summary.tally, summary.outcome
            code = FAILED if outcome == "circular" else DRAWN
    _print(tally, outcome, failure, code, as_json=as_json)
    return code


async def _sync(filters: SyncFilters, watch: SyncWatch, *, full: bool, limit: int | None) -> SyncSummary:
    from tool_specs.civitai.client import CivitaiClient
    from tool_specs.store.database import CatalogDatabase
    from tool_specs.syncing import sync

    with CatalogDatabase.open() as database:
        async with CivitaiClient(on_wait=watch.wait) as client:
            return await sync(database, client, filters, full=full, limit=limit, on_progress=watch.show)


def _names(given: tuple[str, ...]) -> tuple[str, ...]:
    """Names from options that are repeated or hold commas."""
    return tuple(name.strip() for value in given for name in value.split(",") if name.strip())


def _print(tally: Tally, outcome: str, failure: BaseException | None, code: int, *, as_json: bool) -> None:
    """Say what was done, on stdout, and what went wrong."""
    from graphs.cli.tables import console, pairs_table

    if as_json:
        error = None
        if code != DRAWN:
            kind, message = (type(failure).__name__, one_line(failure)) if failure else (outcome, OUTCOMES[outcome])
            error = {"type": kind, "message": message, "exit_code": code}
        document = {"outcome": outcome, **tally.model_dump(), "stored": tally.stored, "error": error}
        click.echo(json.dumps(document, ensure_ascii=False))
        return
    if failure is not None:
        click.echo(f"diffagent: {one_line(failure)}", err=True)
    pairs = {
        "sync": OUTCOMES[outcome],
        "pages": f"{tally.pages:,}",
        "models": f"{tally.models:,}",
        "read": f"{tally.read:,} versions = {tally.stored:,} stored + {tally.set_aside:,} set aside",
        "stored": f"{tally.added:,} new, {tally.changed:,} changed, {tally.unchanged:,} as they were",
        "left out": f"{tally.filtered:,} versions by the options" if tally.filtered else "",
        "checked": f"{tally.checked:,} models that were missing; {tally.gone:,} versions are gone"
        if tally.checked
        else "",
    }
    console().print(pairs_table({key: value for key, value in pairs.items() if value}))
