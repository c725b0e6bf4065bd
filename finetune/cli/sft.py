"""`diffagent-train sft`: stage 1."""

from __future__ import annotations

import click

from finetune.cli.words import settings_from, tell, words_argument


@click.command(name="sft")
@words_argument
def command(words: tuple[str, ...]) -> None:
    """Fine-tune a planner on prompts with the right call; the loss is the call's alone.

    Prints the folder of the trained model. Stop it with Ctrl-C: the same command goes on from the last checkpoint.
    Several GPUs: `accelerate launch --use_fsdp ... -m finetune.cli.main sft CONFIG.yaml`, as the shipped settings say.

    \b
    Examples:
      diffagent-train sft sft-qwen3-4b.yaml data=sft.jsonl out=runs/sft
      diffagent-train sft model=planner data=sft.jsonl out=runs/full learning_rate=1e-3 epochs=3
      diffagent-train sft my.yaml lora.rank=8 max_steps=100
    """  # noqa: D301 - the \b is click's mark for lines to keep
    from finetune.sfta.sft import SFTSettings, train_sft

    tell(train_sft(settings_from(SFTSettings, words)))
