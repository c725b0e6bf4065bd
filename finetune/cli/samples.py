"""`diffagent-train samples`: what stage 1 learns from, made of a data set."""

from __future__ import annotations

import click

from finetune.cli.left_out import tell_left_out
from finetune.cli.words import settings_from, words_argument


@click.command(name="samples")
@words_argument
def command(words: tuple[str, ...]) -> None:
    """Write what a planner reads and should answer for each pair of a data set, in the words of its chat template.

    Prints the number of rows and their file, which `diffagent-train sft` takes. Pairs that have no row are counted with
    the reason.

    \b
    Examples:
      diffagent-train samples model=Qwen/Qwen3-4B data=data/dabench catalog=~/.cache/diffagent/catalog out=sft.jsonl
      diffagent-train samples model=planner data=data/dabench out=closed.jsonl closed_book=true
    """  # noqa: D301 - the \b is click's mark for lines to keep
    from finetune.sfta.sample_rows import SampleSettings, write_samples

    settings = settings_from(SampleSettings, words)
    written = write_samples(settings)
    tell_left_out(written.left_out)
    click.echo(f"{written.rows} rows: {settings.out}")
