"""`diffagent import`: models, weights and evidence from files into the catalog."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import click

from graphs.cli.exits import DRAWN
from graphs.cli.options import json_option
from tool_specs.command_line import INTERRUPTED

if TYPE_CHECKING:
    from rich.table import Table

    from tool_specs.importing import ImportSummary, PathSummary

MOST_REASONS = 10
"""Reasons that are told; the others are in the catalog and in --json."""

COLUMNS: dict[str, Callable[[PathSummary], int]] = {
    "read": lambda one: one.read,
    "stored": lambda one: one.stored,
    "added": lambda one: one.counts.added,
    "changed": lambda one: one.counts.changed,
    "unchanged": lambda one: one.counts.unchanged,
    "linked": lambda one: one.linked,
    "set aside": lambda one: one.set_aside,
    "ignored files": lambda one: one.ignored,
    "gone": lambda one: one.forgotten,
}
ALWAYS = frozenset({"read", "stored", "set aside"})
"""Columns that are there even where all is 0; with all of them, a narrow terminal has no room for the path."""

PATHS = click.Path(exists=True, path_type=Path)


@click.command(name="import")
@click.argument("paths", nargs=-1, type=PATHS, metavar="PATH...")
@click.option("--evidence", multiple=True, type=PATHS, metavar="PAIRS", help="Pairs of a request and the call that "
              "drew it; pairs of an evaluation are refused. Repeat for more files.")  # fmt: skip
@click.option("--look-up", is_flag=True, help="Ask Civitai, by hash, what weights files are that the catalog does not "
              "know.")  # fmt: skip
@click.option("--ray", "on_ray", is_flag=True, help="Index on the Ray cluster at DIFFAGENT_RAY_ADDRESS, else on "
              "all cores of this machine.")  # fmt: skip
@json_option
def command(paths: tuple[Path, ...], evidence: tuple[Path, ...], look_up: bool, on_ray: bool, as_json: bool) -> int:
    """Fill the catalog from each PATH, a file or a folder, without network.

    \b
    A PATH may hold, told apart by content:
      dumps of Civitai's API (JSON, JSON lines, pages; also .gz and .zst)
      rows with one model version each
      .civitai.info and other side files
      a local library: folders of .safetensors files as A1111, Forge and ComfyUI keep them

    \b
    Examples:
      diffagent import ~/stable-diffusion-webui/models
      diffagent import ~/ComfyUI/models --look-up
      diffagent import dump.jsonl.gz --evidence pairs.jsonl.gz

    Importing again stores only what has changed, and hashes only weights that have; where two dumps tell of the same
    version, the later one counts.
    """  # noqa: D301 - the \b is click's mark for lines to keep
    from diffagent_tools.ray_indexing import indexed_on_ray
    from graphs.cli.import_progress import ImportProgress
    from graphs.cli.tables import console
    from tool_specs.importing import import_paths
    from tool_specs.ranking.index import CatalogIndex, in_this_process
    from tool_specs.store.database import CatalogDatabase

    if not paths and not evidence:
        msg = "name at least one PATH, or --evidence PAIRS"
        raise click.UsageError(msg)
    client = None
    if look_up:
        from tool_specs.civitai.client import CivitaiClient

        client = CivitaiClient()
    started = time.monotonic()
    with CatalogDatabase.open() as database:
        try:
            with ImportProgress(console(stderr=True)) as progress:
                summary = import_paths(database, paths, evidence=evidence, client=client, on_step=progress.show)
            with console(stderr=True).status("indexing what was stored"):
                CatalogIndex(database, indexed=indexed_on_ray if on_ray else in_this_process).view()
        except KeyboardInterrupt:
            if as_json:
                raise
            click.echo("diffagent: interrupted; what was stored stays, the same command goes on", err=True)
            return INTERRUPTED
        place = str(database.path)
    seconds = time.monotonic() - started
    if as_json:
        click.echo(json.dumps(_document(summary, place, seconds), ensure_ascii=False))
    else:
        _print(summary, place, seconds)
    return DRAWN


def _document(summary: ImportSummary, place: str, seconds: float) -> dict[str, object]:
    from tool_specs.importing import total

    return {
        "catalog": place,
        "seconds": round(seconds, 3),
        "paths": [_figures(one) for one in summary.paths],
        "evidence": [_figures(one) for one in summary.evidence],
        "total": _figures(total([*summary.paths, *summary.evidence])),
        "error": None,
    }


def _figures(one: PathSummary) -> dict[str, object]:
    return {
        "path": one.path,
        "read": one.read,
        "stored": one.stored,
        "added": one.counts.added,
        "changed": one.counts.changed,
        "unchanged": one.counts.unchanged,
        "linked": one.linked,
        "set_aside": one.set_aside,
        "ignored_files": one.ignored,
        "forgotten_files": one.forgotten,
        "reasons": dict(one.reasons.most_common()),
        "problem": one.problem,
    }


def _print(summary: ImportSummary, place: str, seconds: float) -> None:
    from rich.markup import escape

    from graphs.cli.tables import console
    from tool_specs.importing import total

    out = console()
    whole = total([*summary.paths, *summary.evidence])
    out.print(_table(summary, whole))
    for reason, number in whole.reasons.most_common(MOST_REASONS):
        out.print(f"  [dim]{number:>7,} set aside:[/] {escape(reason)}", soft_wrap=True)
    for one in (*summary.paths, *summary.evidence):
        if one.problem:
            out.print(f"[yellow]{escape(one.path)}:[/] {escape(one.problem)}", soft_wrap=True)
    out.print(f"[dim]{seconds:.1f} s; the catalog is {escape(place)}[/]", soft_wrap=True)


def _table(summary: ImportSummary, whole: PathSummary) -> Table:
    from rich.markup import escape
    from rich.table import Table

    columns = {title: figure for title, figure in COLUMNS.items() if title in ALWAYS or figure(whole)}
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    table.add_column("", no_wrap=True)
    for title in columns:
        table.add_column(title, justify="right", no_wrap=True)
    table.add_column("path", overflow="fold", min_width=20)
    rows = [("models", one) for one in summary.paths] + [("evidence", one) for one in summary.evidence]
    for what, one in [*rows, ("total", whole)]:
        path = "" if one is whole else escape(one.path)
        table.add_row(what, *(f"{figure(one):,}" for figure in columns.values()), path)
    return table
