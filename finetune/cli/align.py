"""`diffagent-train align`: stage 2."""

from __future__ import annotations

import click

from finetune.cli.words import settings_from, tell, words_argument


@click.command(name="align")
@words_argument
def command(words: tuple[str, ...]) -> None:
    """Align a planner with the rewards of its calls, by RRHF or DPO.

    Prints the folder of the trained model. Stop it with Ctrl-C: the same command goes on from the last checkpoint.

    \b
    Examples:
      diffagent-train align align-qwen3-4b.yaml model=runs/merged data=runs/rollouts/rollouts-0-of-1.jsonl out=runs/rrhf
      diffagent-train align model=planner data=rollouts.jsonl out=runs/dpo method=dpo beta=0.2
    """  # noqa: D301 - the \b is click's mark for lines to keep
    from finetune.sfta.align import AlignSettings, align

    tell(align(settings_from(AlignSettings, words)))
