"""`diffagent-train rollouts`: draw and score candidate calls for the instructions of a data set."""

from __future__ import annotations

import click

from finetune.cli.words import settings_from, words_argument


@click.command(name="rollouts")
@words_argument
def command(words: tuple[str, ...]) -> None:
    """Draw and score several calls for each instruction: what `align` learns from.

    Prints the file of the rows. Run again, it goes on where it was stopped. This command draws pocket models only.

    \b
    Examples:
      diffagent-train rollouts model=runs/sft/model data=data/dabench out=runs/rollouts limit=500
      diffagent-train rollouts rollouts.yaml shard=0 shards=4
      diffagent-train rollouts rollouts.yaml workers=ray
    """  # noqa: D301 - the \b is click's mark for lines to keep
    from finetune.sfta.rollout_run import run_rollouts
    from finetune.sfta.rollouts import RolloutSettings

    settings = settings_from(RolloutSettings, words)
    run_rollouts(settings)
    click.echo(settings.rows)
