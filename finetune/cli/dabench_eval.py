"""`diffagent-train dabench eval`: how good planners are on the pairs of a data set."""

from __future__ import annotations

import json
from pathlib import Path

import click

FOLDER = click.Path(file_okay=False, path_type=Path)


@click.command(name="eval")
@click.argument("dataset", required=False, type=FOLDER)
@click.option(
    "--out", type=FOLDER, metavar="DIR", help="Folder of the results; an unfinished evaluation in it is gone on with."
)
@click.option("--split", "splits", multiple=True, metavar="NAME", help="Split to ask (repeat for more). Default: test.")
@click.option(
    "--planner",
    "planners",
    multiple=True,
    metavar="[NAME=]KIND[:…]",
    help="Planner to ask (repeat for more); NAME is what the report calls it. Default: retrieval, popularity, nearest "
    "and random.",
)
@click.option(
    "--draw",
    is_flag=True,
    default=None,
    help="Draw every call and judge the picture; with --catalog, DIFFAGENT_REWARDS names the reward models.",
)
@click.option(
    "--pictures", type=click.IntRange(min=1), metavar="N", help="Draw N of each call; their mean counts. Default: 1."
)
@click.option("--limit", type=click.IntRange(min=1), metavar="N", help="Only the first pairs of each split.")
@click.option("--catalog", type=FOLDER, metavar="DIR", help="A stored catalog. Default: the models that ship.")
@click.option(
    "--compare",
    multiple=True,
    metavar="A,B",
    help="Report how much higher the measures of A are than those of B (repeat for more). Default: each planner with "
    "the first.",
)
@click.option(
    "--config",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Settings as YAML: dataset, out, splits, planners, draw, pictures, limit, catalog, compare. Options here "
    "count more.",
)
def command(
    dataset: Path | None,
    out: Path | None,
    splits: tuple[str, ...],
    planners: tuple[str, ...],
    draw: bool | None,
    pictures: int | None,
    limit: int | None,
    catalog: Path | None,
    compare: tuple[str, ...],
    config: Path | None,
) -> None:
    """Ask planners for the calls of the pairs in the folder DATASET; write results.jsonl and report.md with its plots.

    \b
    Planners:
      retrieval                best-ranked model, recommended parameters
      popularity               what training used most
      nearest                  the call of the nearest training pair
      random[:SEED]            any tool, any valid arguments
      local[:FOLDER]           a tuned planner in process; the shipped one by default
      endpoint:URL:MODEL       any OpenAI-compatible server; its key in DIFFAGENT_API_KEY
      closed_book:local:FOLDER, closed_book:endpoint:URL:MODEL
                               the same, offered no tools: names are from memory

    \b
    Examples:
      diffagent-train dabench eval data/dabench --out runs/eval --draw
      diffagent-train dabench eval data/dabench --out runs/eval --split test --split unseen \\
        --planner retrieval --planner sft=local:runs/sft --planner rrhf=local:runs/rrhf --compare rrhf,sft
      diffagent-train dabench eval data/dabench --out runs/eval --planner endpoint:http://127.0.0.1:8000/v1:diffagent
    """  # noqa: D301 - the \b is click's mark for lines to keep
    from finetune.dabench.run import EvalSettings, run
    from finetune.settings import load_settings

    given = {
        "dataset": dataset,
        "out": out,
        "splits": splits,
        "planners": planners,
        "draw": draw,
        "pictures": pictures,
        "limit": limit,
        "catalog": catalog,
        "compare": compare,
    }
    # JSON is YAML too; a path is written as the text it is.
    overrides = [f"{key}={json.dumps(value, default=str)}" for key, value in given.items() if value not in (None, ())]
    click.echo(run(load_settings(EvalSettings, config, overrides)))
