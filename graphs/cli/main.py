"""Entry point of `diffagent`. Only click is imported here; each command imports what it needs when it runs."""

from __future__ import annotations

import sys
from collections.abc import Sequence

import click

from tool_specs.command_line import LazyGroup, run

COMMANDS = {
    "draw": "Draw what you ask for, judge it, and try again when it is poor.",
    "compare": "Draw one request with several models, side by side.",
    "storyboard": "Draw a story as a row of pictures in one style.",
    "refine": "Draw what you ask for, then make it better step by step.",
    "pick": "Choose the model and write the call, but draw nothing.",
    "search": "Find models that could draw something.",
    "show": "Show everything known about one model.",
    "import": "Fill the catalog from dumps, side files and the weights on your disk.",
    "sync": "Bring the catalog in step with Civitai.",
    "fetch": "Have the weights of models on this machine.",
    "serve": "Serve the web page, and answer OpenAI and MCP clients.",
    "mcp": "Offer the tools to MCP clients.",
}


@click.group(
    cls=LazyGroup,
    package="graphs.cli",
    summaries=COMMANDS,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
def diffagent() -> None:
    """Say what picture you want.

    DiffAgent finds the model that draws it best, writes the call with every parameter filled in, draws it, judges the
    result, and tries again when it is not good enough.

    \b
    Examples:
      diffagent draw "a fox in pixel art on a blue background"
      diffagent draw "a kitten, 8-bit" --out pictures --seed 7 --json
      diffagent pick "a castle at sunset, watercolor"
      diffagent search "vehicles"
      diffagent show civitai:9001@9101
      diffagent sync --base-model "SD 1.5" --min-downloads 1000
      diffagent import ~/ComfyUI/models
      diffagent fetch civitai:4384@128713

    \b
    Exit codes:
      0  drawn (or found, or shown)
      2  bad usage: the request, an option or the setup
      3  nothing fits: no model here can draw it
      4  drawing failed: the backend, the weights or the disk; or Civitai did not answer
      130  interrupted; run the same thread (or sync) again to go on

    Pictures and threads are kept in DIFFAGENT_HOME (default: ~/.cache/diffagent).
    """  # noqa: D301 - the \b is click's mark for lines to keep


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command.

    Args:
        arguments: The command line without the program's name; default: that of this process.

    Returns:
        The exit code.
    """
    return run(diffagent, "diffagent", arguments)


if __name__ == "__main__":
    sys.exit(main())
