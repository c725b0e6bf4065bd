"""`diffagent-train dabench build`: pairs from the evidence of a catalog, or from an archive."""

from __future__ import annotations

import click

from finetune.cli.words import settings_from, words_argument


@click.command(name="build")
@words_argument
def command(words: tuple[str, ...]) -> None:
    """Make pairs of instructions and calls from evidence: filter, find near-duplicates, split, write instructions.

    Prints the figures of the data set, whose folder `out` names; its README.md has more. What became no pair is counted
    by reason. Stop it with Ctrl-C: nothing is written before the end, but what a chat model said is kept.

    \b
    Examples:
      diffagent-train dabench build out=data/dabench
      diffagent-train dabench build out=data/dabench seed=7 splits.unseen=0.1 rating=mature
      diffagent-train dabench build out=data/chat writer=chat chat.arguments.model=qwen3-8b \\
        chat.arguments.base_url=http://127.0.0.1:8000/v1
      diffagent-train dabench build out=data/other archive=other.jsonl mapping=other.yaml writer=given
    """  # noqa: D301 - the \b is click's mark for lines to keep
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    from finetune.dabench.build import BuildSettings, build
    from finetune.dabench.card import statistics, tables

    settings = settings_from(BuildSettings, words)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task("reading", total=None)
        built = build(
            settings,
            on_step=lambda what, done, end: progress.update(task, description=what, completed=done, total=end or None),
        )
    click.echo(tables(statistics(built.pairs)))
    for heading, counts in (("became no pair", built.dropped), ("instructions by the chat model", built.writing)):
        if counts:
            click.echo(f"\n{heading}:")
            click.echo("\n".join(f"{count:>9,}  {what}" for what, count in counts.most_common()))
    click.echo(f"\n{len(built.pairs):,} pairs in {settings.out}")
