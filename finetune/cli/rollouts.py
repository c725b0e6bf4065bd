"""`diffagent-train rollouts`: draw and score candidate calls for the instructions of a data set."""

from __future__ import annotations

import click

from finetune.cli.left_out import tell_left_out
from finetune.cli.words import settings_from, words_argument


@click.command(name="rollouts")
@words_argument
def command(words: tuple[str, ...]) -> None:
    """Draw and score several calls for each instruction: what `align` learns from.

    Prints the file of the rows. Run again, it goes on where it was stopped. Pairs that no rollout can be made of are
    counted with the reason. The models that ship are drawn, or with `catalog` your own: their weights are found as
    `diffagent draw --stored` finds them, and DIFFAGENT_REWARDS names the folder of the reward models that judge.

    \b
    Examples:
      diffagent-train rollouts model=runs/sft/model data=data/dabench out=runs/rollouts limit=500
      diffagent-train rollouts rollouts-qwen3-8b.yaml catalog=~/.cache/diffagent/catalog data=data/dabench
      diffagent-train rollouts rollouts.yaml shard=0 shards=4
      diffagent-train rollouts rollouts.yaml workers=ray
    """  # noqa: D301 - the \b is click's mark for lines to keep
    from finetune.dabench.left_out import LeftOut
    from finetune.sfta.rollout_run import run_rollouts
    from finetune.sfta.rollouts import RolloutSettings

    settings = settings_from(RolloutSettings, words)
    left_out: list[LeftOut] = []
    run_rollouts(settings, on_left_out=left_out.append)
    tell_left_out(left_out)
    click.echo(settings.rows)
