"""`diffagent show`: everything known about one model."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, TypedDict

import click

from graphs.cli.exits import DRAWN
from graphs.cli.options import json_option
from tool_specs.exceptions import CatalogError

if TYPE_CHECKING:
    from graphs.workshop import Workshop
    from tool_specs.search.ranked import RankedShortlister
    from tool_specs.spec import Spread, ToolSpec

MAX_EXAMPLES = 3


@click.command(name="show")
@click.argument("spec_id", metavar="ID")
@json_option
def command(spec_id: str, as_json: bool) -> int:
    """Show the model ID: civitai:MODEL@VERSION, its model number, or its tool name.

    \b
    Examples:
      diffagent show civitai:9001@9101
      diffagent show 9001 --json
    """  # noqa: D301 - the \b is click's mark for lines to keep
    from graphs.cli.tables import console, pairs_table
    from graphs.workshop import Workshop
    from tool_specs.rules import Rules

    workshop = Workshop()
    spec, stored = _spec(workshop, spec_id)
    shortlister = workshop.stored_shortlister() if stored else None
    reason = (shortlister.rules if shortlister else Rules()).reason_against(spec)
    instead = _instead(shortlister, spec) if shortlister and reason else []
    if as_json:
        document = {**spec.model_dump(mode="json"), "tool_name": spec.tool_name}
        document |= {"not_offered": reason or None, "substitutes": instead}
        click.echo(json.dumps(document, ensure_ascii=False))
        return DRAWN
    pairs = _pairs(spec) | ({"not offered": reason} if reason else {})
    pairs |= {f"instead {n}": f"{one['id']} {one['name']} ({'; '.join(one['changes']) or 'nothing changes'})"
              for n, one in enumerate(instead, 1)}  # fmt: skip
    console().print(pairs_table(pairs))
    return DRAWN


def _spec(workshop: Workshop, name: str) -> tuple[ToolSpec, bool]:
    """The spec, and whether it is in the user's catalog; of one name that comes before what ships with the package."""
    if not workshop.has_stored_catalog:
        return workshop.catalog.get(name), False
    try:
        return workshop.stored_catalog.get(name), True
    except CatalogError:
        try:
            return workshop.catalog.get(name), False
        except CatalogError:
            pass
        raise


class _Instead(TypedDict):
    id: str
    name: str
    changes: list[str]


def _instead(shortlister: RankedShortlister, spec: ToolSpec) -> list[_Instead]:
    """What may be used in its place."""
    from tool_specs.search.substitutes import substitutes

    return [{"id": one.spec.id, "name": one.spec.model_name, "changes": list(one.changes)}
            for one in substitutes(shortlister, spec)]  # fmt: skip


def _pairs(spec: ToolSpec) -> dict[str, str]:
    """What people want to know of a spec; what is empty is left out."""
    learned, terms = spec.recommended, spec.license
    pairs = {
        "name": f"{spec.model_name}, version {spec.version_name}",
        "id": spec.id,
        "tool": spec.tool_name,
        "type": spec.type,
        "base model": f"{spec.base_model} (family {spec.family})",
        "creator": spec.creator or "",
        "draws": spec.description,
        "tags": ", ".join(spec.tags),
        "trigger words": ", ".join(spec.trigger_words),
        "content": spec.content_rating,
        "sampler": learned.sampler,
        "steps": _spread(learned.steps),
        "cfg": _spread(learned.cfg_scale),
        "size": f"{learned.width}x{learned.height}",
        "weight": _spread(learned.weight) if learned.weight else "",
        "negative": learned.negative_prompt,
        "learned from": f"{learned.n} example pictures" if learned.n else "the family's defaults",
        "selling images": "allowed" if terms.may_sell_images else "not allowed",
        "measured": "; ".join(f"{one.reward} {one.mean:.2f} ± {one.std:.2f} (n={one.n})" for one in spec.rewards),
    }
    pairs |= {f"file {n}": f"{file.name} ({file.format}, {file.size_kb:,.0f} kB, SHA-256 {file.sha256 or 'unknown'})"
              for n, file in enumerate(spec.files, 1)}  # fmt: skip
    pairs |= {f"example {n}": one.prompt for n, one in enumerate(spec.examples[:MAX_EXAMPLES], 1)}
    return {key: value for key, value in pairs.items() if value}


def _spread(spread: Spread) -> str:
    """A number with the range that half of the examples keep to."""
    low, high = f"{spread.low:g}", f"{spread.high:g}"
    return f"{spread.median:g}" if low == high else f"{spread.median:g} ({low} to {high})"
