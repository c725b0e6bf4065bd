"""`diffagent pick`: choose the model and write the call, but draw nothing."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import click

from graphs.cli.exits import DRAWN, NOTHING_FITS
from graphs.cli.options import fixed_options, json_option, planner_option, stored_option

if TYPE_CHECKING:
    from graphs.workshop import PlannerName
    from tool_specs.exports import ExportName


@click.command(name="pick")
@click.argument("request")
@fixed_options
@planner_option
@stored_option
@click.option(
    "--export",
    type=click.Choice(["diffusers", "comfyui", "a1111", "air"]),
    help="Print only the call, for another program: a diffusers script, a ComfyUI workflow, the infotext of A1111, or "
    "Civitai's identifiers of the models.",
)
@json_option
def command(
    request: str, planner: PlannerName | None, stored: bool, export: ExportName | None, as_json: bool, **fixed: object
) -> int:
    """Show the call that would be drawn first for REQUEST: the model, why it, and every parameter.

    \b
    Examples:
      diffagent pick "a castle at sunset, watercolor"
      diffagent pick "a castle at sunset" --lora civitai:9011@9111 --json
      diffagent pick "a castle at sunset" --export diffusers > castle.py
    """  # noqa: D301 - the \b is click's mark for lines to keep
    from graphs.cli.fixed import options_of
    from graphs.cli.tables import console, loras_line, models_table, pairs_table, parameters_line
    from graphs.pins import check_pins
    from graphs.request import checked_request
    from graphs.workshop import Workshop
    from tool_specs.calls import parse_call
    from tool_specs.exceptions import CallError
    from tool_specs.exports import EXPORTS, caveat, to_a1111

    text, options = checked_request(request), options_of(fixed)
    workshop = Workshop(planner, stored=stored)
    check_pins(workshop.catalog, options)
    state = workshop.graph().invoke({"request": text, "options": options}, interrupt_before=["approve"])
    proposal, shortlist = state["proposal"], state["shortlist"]
    if proposal is None:
        outcome = state["outcome"]
        error = {"type": outcome["status"], "message": outcome["reason"], "exit_code": NOTHING_FITS}
        if as_json:
            nothing = dict.fromkeys(("model", "call", "infotext", *(("export",) if export else ())))
            document = {"request": text, **nothing, "shortlist": shortlist, "error": error}
            click.echo(json.dumps(document, ensure_ascii=False))
        else:
            click.echo(f"diffagent: {outcome['reason']}; these are the nearest", err=True)
            console().print(models_table(outcome["nearest"]))
        return NOTHING_FITS
    call = proposal["call"]
    if call is None:
        raise CallError(proposal["problem"] or "the planner's call is not valid")
    valid = parse_call(call)
    exported = EXPORTS[export](valid, workshop.catalog) if export else None
    if export and (doubt := caveat(valid, export)):
        click.echo(f"diffagent: {doubt}", err=True)
    if exported is not None and not as_json:
        click.echo(exported)
        return DRAWN
    infotext = to_a1111(valid, workshop.catalog)
    chosen = next(one for one in shortlist["models"] if one["id"] == proposal["model"])
    if as_json:
        document = {"request": text, "model": chosen, "call": call, "infotext": infotext, "shortlist": shortlist}
        document |= {"export": exported} if export else {}
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
