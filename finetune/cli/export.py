"""`diffagent-train export`: what vLLM serves."""

from __future__ import annotations

import click

from finetune.cli.words import settings_from, tell, words_argument


@click.command(name="export")
@words_argument
def command(words: tuple[str, ...]) -> None:
    """Merge an adapter, and write weights, tokenizer, chat template and `serving.json` to a new folder.

    Prints the folder; `make vllm` serves it.

    \b
    Examples:
      diffagent-train export model=runs/rrhf/model out=planner
      diffagent-train export model=runs/rrhf/model out=planner base=/models/qwen3-4b dtype=bfloat16
    """  # noqa: D301 - the \b is click's mark for lines to keep
    from finetune.sfta.export import ExportSettings, export

    tell(export(settings_from(ExportSettings, words)))
