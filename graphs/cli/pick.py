"""`diffagent pick`: choose the model and write the call, but draw nothing."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import click

from graphs.cli.exits import DRAWN, NOTHING_FITS
from graphs.cli.options import fixed_options, json_option, planner_option

if TYPE_CHECKING:
    from graphs.workshop import PlannerName


@click.command(name="pick")
@click.argument("request")
@fixed_options
@planner_option
@json_option
def command(request: str, planner: PlannerName | None, as_json: bool, **fixed: object) -> int:
    """Show the call that would be drawn first for REQUEST: the model, why it, and every parameter.

    \b
    Examples:
      diffagent pick "a castle at sunset, watercolor"
      diffagent pick "a castle at sunset" --lora civitai:9011@9111 --json
    """  # noqa: D301 - the \b is click's mark for lines to keep
    from graphs.cli.fixed import options_of
    from graphs.cli.tables import console, loras_line, models_table, pairs_table, parameters_line
    from graphs.pins import check_pins
    from graphs.request import checked_request
    from graphs.workshop import Workshop
    from tool_specs.calls import parse_call
    from tool_specs.exceptions import CallError
    from tool_specs.infotext import spec_hashes, spec_names, to_infotext

    text, options = checked_request(request), options_of(fixed)
    workshop = Workshop(planner)
    check_pins(workshop.catalog, options)
    state = workshop.graph().invoke({"request": text, "options": options}, interrupt_before=["approve"])
    proposal, shortlist = state["proposal"], state["shortlist"]
    if proposal is None:
        outcome = state["outcome"]
        error = {"type": outcome["status"], "message": outcome["reason"], "exit_code": NOTHING_FITS}
        if as_json:
            nothing = dict.fromkeys(("model", "call", "infotext"))
            document = {"request": text, **nothing, "shortlist": shortlist, "error": error}
            click.echo(json.dumps(document, ensure_ascii=False))
        else:
            click.echo(f"diffagent: {outcome['reason']}; these are the nearest", err=True)
            console().print(models_table(outcome["nearest"]))
        return NOTHING_FITS
    call = proposal["call"]
    if call is None:
        raise CallError(proposal["problem"] or "the planner's call is not valid")
    specs = [workshop.catalog.get(one) for one in (call["checkpoint"], *(lora["id"] for lora in call["loras"]))]
    infotext = to_infotext(parse_call(call), names=spec_names(specs), hashes=spec_hashes(specs))
    chosen = next(one for one in shortlist["models"] if one["id"] == proposal["model"])
    if as_json:
        document = {"request": text, "model": chosen, "call": call, "infotext": infotext, "shortlist": shortlist}
        click.echo(json.dumps({**document, "error": None}, ensure_ascii=False))
        return DRAWN
    pairs = {
        "model": f"{chosen['name']} ({chosen['id']})",
        "why": "; ".join(chosen["why"]),
        "LoRAs": loras_line(call, workshop.name) or "none",
        "prompt": str(call["prompt"]),
        "negative": str(call["negative_prompt"]) or "none",
        "parameters": parameters_line(call),
    }
    console().print(pairs_table(pairs))
    click.echo(f"\n{infotext}")
    return DRAWN
