"""What the commands share: sub-commands loaded when they are called, exit codes, each kind of error as one line."""

from __future__ import annotations

import json
import os
import sqlite3
import sys
import traceback
from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from importlib import import_module
from keyword import iskeyword

import click

from tool_specs.exceptions import CatalogError, ConfigError, DiffAgentError, DrawingCancelled, RequestError

DONE, FAULT_OF_OURS, BAD_USAGE, FAILED, INTERRUPTED = 0, 1, 2, 4, 130

CODES: tuple[tuple[type[BaseException], int], ...] = (
    (click.Abort, INTERRUPTED),
    (KeyboardInterrupt, INTERRUPTED),
    (DrawingCancelled, INTERRUPTED),
    (click.ClickException, BAD_USAGE),
    (RequestError, BAD_USAGE),
    (CatalogError, BAD_USAGE),
    (ConfigError, BAD_USAGE),
    (DiffAgentError, FAILED),
    (sqlite3.Error, FAILED),
)
"""Exit code by kind of error; the first that matches."""


def exit_code(error: BaseException) -> int:
    """The exit code for an error; 1 for one that nobody foresaw."""
    return next((code for kind, code in CODES if isinstance(error, kind)), FAULT_OF_OURS)


def one_line(error: BaseException) -> str:
    """What went wrong, and what to do about it, in one line."""
    if isinstance(error, (KeyboardInterrupt, click.Abort)):
        return "interrupted"
    if isinstance(error, sqlite3.Error):
        return f"the database cannot be used: {error}; free some space, or set DIFFAGENT_HOME to a folder of yours"
    text = error.format_message() if isinstance(error, click.ClickException) else str(error)
    text = " ".join(text.split()) or type(error).__name__
    if exit_code(error) == FAULT_OF_OURS:
        return f"{type(error).__name__}: {text} (set DIFFAGENT_DEBUG=1 to see where)"
    return text


class LazyGroup(click.Group):
    """Commands that are imported when they are called: `--help` loads none of them.

    Args:
        package: Where the modules of the commands are; each has its command as `command`.
        summaries: One line about each command, in the order of use.
        prefix: What the names of the modules begin with.
        options: Those of `click.Group`.
    """

    def __init__(self, *, package: str, summaries: Mapping[str, str], prefix: str = "", **options: object) -> None:
        super().__init__(**options)  # type: ignore[arg-type]
        self._modules = f"{package}.{prefix}"
        self._summaries = summaries

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's signature
        """All commands, in the order of use."""
        return list(self._summaries)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        """One command by name."""
        if cmd_name not in self._summaries:
            return None
        # A module cannot be called by a word of Python's: `import` lives in import_.
        module = f"{cmd_name}_" if iskeyword(cmd_name) else cmd_name
        command: click.Command = import_module(f"{self._modules}{module}").command
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """The command that was asked for; for a name that none has, the nearest one is told."""
        if args and args[0][:1] != "-" and args[0] not in self._summaries:
            nearest = get_close_matches(args[0], self._summaries, n=1, cutoff=0.7)
            remedy = f"did you mean {nearest[0]!r}?" if nearest else f"{ctx.command_path} --help lists them"
            ctx.fail(f"there is no command {args[0]!r}; {remedy}")
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002
        """List the commands with their summaries, without importing them."""
        with formatter.section("Commands"):
            formatter.write_dl(list(self._summaries.items()))


def run(group: click.Group, program: str, arguments: Sequence[str] | None = None) -> int:
    """Run a command.

    Args:
        group: All commands.
        program: The program's name.
        arguments: The command line without it; default: that of this process.

    Returns:
        The exit code.
    """
    given = list(sys.argv[1:] if arguments is None else arguments)
    try:
        result = group.main(given, prog_name=program, standalone_mode=False)
        sys.stdout.flush()
    except click.exceptions.NoArgsIsHelpError as error:
        click.echo(error.ctx.get_help() if error.ctx else error.format_message(), err=True)
        return exit_code(error)
    except BrokenPipeError:
        # Whoever read our output has gone (`| head`); without this, Python complains once more while it shuts down.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return DONE
    except (Exception, KeyboardInterrupt) as error:  # noqa: BLE001 - the last place where an error can be told
        return _failed(error, program, as_json="--json" in given)
    return result if isinstance(result, int) else DONE


def _failed(error: BaseException, program: str, *, as_json: bool) -> int:
    """Say what went wrong in one line, or as the one JSON document."""
    if os.environ.get("DIFFAGENT_DEBUG"):
        traceback.print_exception(error)
    code = exit_code(error)
    if as_json:
        document = {"error": {"type": type(error).__name__, "message": one_line(error), "exit_code": code}}
        click.echo(json.dumps(document, ensure_ascii=False))
    else:
        click.echo(f"{program}: {one_line(error)}", err=True)
    return code
