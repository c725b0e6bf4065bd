"""`diffagent-train dabench stats`: a data set in figures."""

from __future__ import annotations

import json
from pathlib import Path

import click


@click.command(name="stats")
@click.argument("dataset", type=click.Path(file_okay=False, path_type=Path))
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document on stdout, nothing else.")
def command(dataset: Path, as_json: bool) -> None:
    """Count what the pairs in the folder DATASET hold: pairs, models, words, samplers, dates, by split.

    \b
    Examples:
      diffagent-train dabench stats data/dabench
      diffagent-train dabench stats data/dabench --json
    """  # noqa: D301 - the \b is click's mark for lines to keep
    from finetune.dabench.card import as_json as document
    from finetune.dabench.card import statistics, tables
    from finetune.dabench.pairs import read_pairs, splits_in

    figures = statistics(pair for split in splits_in(dataset) for pair in read_pairs(dataset, split))
    click.echo(json.dumps(document(figures), ensure_ascii=False) if as_json else tables(figures))
