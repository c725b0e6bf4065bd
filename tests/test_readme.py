"""What the README shows can be typed."""

from __future__ import annotations

import ast
import re
import shlex
from importlib import import_module
from pathlib import Path

import click
import pytest

from graphs.cli.main import diffagent

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
COMMANDS = re.findall(r"^    (diffagent .+?)(?:  +#.*)?$", README, re.MULTILINE)
LINKS = sorted(set(re.findall(r"\]\(([^):#]+)\)", README)))


def test_every_name_that_is_imported_is_there() -> None:
    blocks = re.findall(r"```python\n(.+?)```", README, re.DOTALL)
    imports = [node for block in blocks for node in ast.parse(block).body if isinstance(node, ast.ImportFrom)]
    assert imports
    for node in imports:
        for alias in node.names:
            assert hasattr(import_module(node.module or ""), alias.name), f"{node.module}.{alias.name}"


@pytest.mark.parametrize("line", COMMANDS)
def test_every_command_can_be_parsed(line: str) -> None:
    _, name, *arguments = shlex.split(line)
    command = diffagent.get_command(click.Context(diffagent), name)
    assert command is not None
    assert command.make_context(name, arguments).params


@pytest.mark.parametrize("link", LINKS)
def test_every_file_that_is_linked_exists(link: str) -> None:
    assert (ROOT / link).exists()
