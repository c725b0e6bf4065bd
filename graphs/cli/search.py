"""`diffagent search`: which models could draw something."""

from __future__ import annotations

import json

import click

from graphs.cli.exits import DRAWN, NOTHING_FITS
from graphs.cli.options import json_option


@click.command(name="search")
@click.argument("request")
@click.option("-n", "--limit", type=click.IntRange(1, 100), default=8, show_default=True, help="Most models to show.")
@json_option
def command(request: str, limit: int, as_json: bool) -> int:
    """Find models for REQUEST, best first, with the LoRAs that go with them and why each was found.

    \b
    Examples:
      diffagent search "vehicles"
      diffagent search "a kitten, 8-bit" --json
    """  # noqa: D301 - the \b is click's mark for lines to keep
    from graphs.cli.tables import console, models_table
    from graphs.offer import recorded
    from graphs.request import checked_request
    from graphs.workshop import Workshop

    text = checked_request(request)
    shortlist = recorded(Workshop().shortlister.shortlist(text, k=limit))
    networks = [one for one in shortlist["networks"] if one["matched"]]
    code = DRAWN if shortlist["fits"] or networks else NOTHING_FITS
    message = f"no model here can draw {text!r}"
    if as_json:
        error = None if code == DRAWN else {"type": "nothing_fits", "message": message, "exit_code": code}
        click.echo(json.dumps({"request": text, **shortlist, "error": error}, ensure_ascii=False))
        return code
    if code != DRAWN:
        click.echo(f"diffagent: {message}; these are the nearest", err=True)
        console().print(models_table(shortlist["nearest"]))
    else:
        console().print(models_table([*(shortlist["models"] if shortlist["fits"] else ()), *networks]))
    return code
