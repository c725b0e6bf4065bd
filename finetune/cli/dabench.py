"""`diffagent-train dabench`: the benchmark."""

from __future__ import annotations

import click

from tool_specs.command_line import LazyGroup

COMMANDS = {
    "build": "Make pairs of instructions and calls from evidence.",
    "stats": "Count what the pairs hold.",
    "eval": "Measure planners on the pairs.",
}


@click.group(name="dabench", cls=LazyGroup, package="finetune.cli", summaries=COMMANDS, prefix="dabench_")
def command() -> None:
    """Build DABench, instructions with the calls that answer them, or measure planners on it."""
