"""Entry point of `diffagent`. Only click is imported here; each command imports what it needs when it runs."""

from __future__ import annotations

import json
import os
import sys
import traceback
from collections.abc import Sequence
from importlib import import_module
from keyword import iskeyword

import click

from graphs.cli.exits import exit_code, one_line

COMMANDS = {
    "draw": "Draw what you ask for, judge it, and try again when it is poor.",
    "pick": "Choose the model and write the call, but draw nothing.",
    "search": "Find models that could draw something.",
    "show": "Show everything known about one model.",
    "import": "Fill the catalog from dumps, side files and the weights on your disk.",
    "sync": "Bring the catalog in step with Civitai.",
}


class LazyGroup(click.Group):
    """Commands that are imported when they are called: `diffagent --help` loads none of them."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's signature
        """All commands, in the order of use."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        """One command by name."""
        # A module cannot be called by a word of Python's: `import` lives in import_.
        module = f"{cmd_name}_" if iskeyword(cmd_name) else cmd_name
        return import_module(f"graphs.cli.{module}").command if cmd_name in COMMANDS else None

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002
        """List the commands with their summaries, without importing them."""
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
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
    given = list(sys.argv[1:] if arguments is None else arguments)
    try:
        result = diffagent.main(given, prog_name="diffagent", standalone_mode=False)
        sys.stdout.flush()
    except click.exceptions.NoArgsIsHelpError as error:
        click.echo(error.ctx.get_help() if error.ctx else error.format_message(), err=True)
        return exit_code(error)
    except BrokenPipeError:
        # Whoever read our output has gone (`| head`); without this, Python complains once more while it shuts down.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except (Exception, KeyboardInterrupt) as error:  # noqa: BLE001 - the last place where an error can be told
        return _failed(error, as_json="--json" in given)
    return result if isinstance(result, int) else 0


def _failed(error: BaseException, *, as_json: bool) -> int:
    """Say what went wrong in one line, or as the one JSON document."""
    if os.environ.get("DIFFAGENT_DEBUG"):
        traceback.print_exception(error)
    code = exit_code(error)
    if as_json:
        document = {"error": {"type": type(error).__name__, "message": one_line(error), "exit_code": code}}
        click.echo(json.dumps(document, ensure_ascii=False))
    else:
        click.echo(f"diffagent: {one_line(error)}", err=True)
    return code


if __name__ == "__main__":
    sys.exit(main())
