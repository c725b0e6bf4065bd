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
from tool_specs.pocket import POCKET_DIR

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
COMMANDS = re.findall(r"^    (diffagent .+?)(?:  +#.*)?$", README, re.MULTILINE)
BLOCKS = re.findall(r"```python\n(.+?)```", README, re.DOTALL)
LINKS = sorted(set(re.findall(r"\]\(([^):#]+)\)", README)))


def test_every_name_that_is_imported_is_there() -> None:
    imports = [node for block in BLOCKS for node in ast.parse(block).body if isinstance(node, ast.ImportFrom)]
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


@pytest.mark.slow
@pytest.mark.skipif(not (POCKET_DIR / "records").is_dir(), reason="the pocket world is not in the package")
def test_the_three_ways_in_run_as_they_stand(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DIFFAGENT_HOME", str(tmp_path))
    printed = []
    for block in BLOCKS:
        exec(block, {})
        printed.append(capsys.readouterr().out)
    app, graph, model = printed
    assert Path(app.strip().removeprefix("The picture is drawn: ")).is_file()
    assert "civitai:9014@9114" in graph
    assert Path(graph.split()[-1]).is_file()
    assert "civitai_9001_pocket_animals" in model
