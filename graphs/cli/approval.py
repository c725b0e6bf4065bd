"""Asking a person on the terminal whether a call may be drawn."""

from __future__ import annotations

import json

import click
from rich.console import Console
from rich.markup import escape

from graphs.cli.tables import pairs_table
from graphs.nodes.approve import Decision, Question


def ask(question: Question, console: Console) -> Decision:
    """Show a call and wait for yes, no or edit.

    Raises:
        click.Abort: The person broke off, or there is nobody to ask.
    """
    console.print(f"[bold]attempt {question['attempt']}[/]  {question['tool']}")
    console.print(pairs_table({key: _text(value) for key, value in question["arguments"].items()}))
    if question["problem"]:
        console.print(f"[red]that does not work:[/] {escape(question['problem'])}", soft_wrap=True)
    while True:
        answer = click.prompt("draw it?", type=click.Choice(["y", "n", "e"]), default="y", err=True)
        if answer == "y":
            return {"type": "approve"}
        if answer == "n":
            why = click.prompt("what is wrong with it? (may be empty)", default="", show_default=False, err=True)
            return {"type": "reject", "message": why}
        if (edited := _edited(question)) is not None:
            return edited


def _edited(question: Question) -> Decision | None:
    """The arguments as changed in the person's editor; `None` when they changed nothing that can be read."""
    text = click.edit(json.dumps(question["arguments"], indent=2, ensure_ascii=False), extension=".json")
    if text is None:
        return None
    try:
        arguments = json.loads(text)
    except ValueError as error:
        click.echo(f"that is not JSON: {error}", err=True)
        return None
    if not isinstance(arguments, dict):
        click.echo("that is not a JSON object with the arguments", err=True)
        return None
    return {"type": "edit", "arguments": arguments}


def _text(value: object) -> str:
    """A value as people read it."""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
