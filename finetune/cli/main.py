"""Entry point of `diffagent-train`. Only click is imported here; each command imports what it needs when it runs."""

from __future__ import annotations

import sys
from collections.abc import Sequence

import click

from tool_specs.command_line import LazyGroup, run

COMMANDS = {
    "dabench": "Build DABench from evidence, or measure a planner on it.",
    "samples": "What stage 1 learns from: the pairs of a data set as a planner reads them.",
    "sft": "Stage 1: fine-tune a planner on the right calls.",
    "rollouts": "Draw and score several calls for each instruction.",
    "align": "Stage 2: align a planner with the scores (RRHF or DPO).",
    "export": "Merge an adapter and write what vLLM serves.",
    "reproduce": "All of it, from nothing, in the pocket world.",
}


@click.group(
    cls=LazyGroup,
    package="finetune.cli",
    summaries=COMMANDS,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
def diffagent_train() -> None:
    """Train a planner that writes calls of text-to-image models, and prove that it is better.

    \b
    Examples:
      diffagent-train sft sft-qwen3-4b.yaml data=bench/sft.jsonl out=runs/sft
      diffagent-train rollouts rollouts-qwen3-4b.yaml model=runs/merged data=data/dabench out=runs/rollouts
      diffagent-train align align-qwen3-4b.yaml model=runs/merged out=runs/rrhf
      diffagent-train export model=runs/rrhf/model out=planner
      diffagent-train reproduce --pocket

    \b
    Exit codes:
      0  done
      2  bad usage: an option, a setting, the data or the setup
      4  failed: the weights, the backend or the disk
      130  interrupted; the same command goes on from the last checkpoint
    """  # noqa: D301 - the \b is click's mark for lines to keep


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command.

    Args:
        arguments: The command line without the program's name; default: that of this process.

    Returns:
        The exit code.
    """
    return run(diffagent_train, "diffagent-train", arguments)


if __name__ == "__main__":
    sys.exit(main())
