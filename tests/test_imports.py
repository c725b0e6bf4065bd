"""Importing the packages is cheap and pulls in none of the heavy libraries."""

from __future__ import annotations

import ast
import importlib
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
HEAVY = ("torch", "diffusers", "transformers", "langchain_core", "langgraph", "peft", "numpy", "PIL")
MOST_SECONDS = 0.5

PROBE = """
import sys, time
start = time.process_time()
import {package}
seconds = time.process_time() - start
print(seconds, *(name for name in {heavy!r} if name in sys.modules))
"""


def cheapest_import(package: str, heavy: tuple[str, ...]) -> tuple[float, list[str]]:
    """The least CPU seconds of three fresh interpreters, so that a busy machine does not count, and what was loaded."""
    runs = []
    for _ in range(3):
        done = subprocess.run(
            [sys.executable, "-c", PROBE.format(package=package, heavy=heavy)],
            cwd=ROOT,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            capture_output=True,
            text=True,
            check=True,
        )
        seconds, *loaded = done.stdout.split()
        runs.append((float(seconds), loaded))
    return min(runs)


@pytest.mark.parametrize("package", ["tool_specs", "diffagent_tools"])
def test_import_is_cheap_and_loads_nothing_heavy(package: str) -> None:
    seconds, loaded = cheapest_import(package, HEAVY)

    assert loaded == []
    assert seconds < MOST_SECONDS


def test_using_specs_and_calls_loads_nothing_heavy() -> None:
    package = "tool_specs; from tool_specs import ToolSpec, arguments_model, specs_of, to_infotext"
    seconds, loaded = cheapest_import(package, HEAVY)

    assert loaded == []
    assert seconds < 2 * MOST_SECONDS


@pytest.mark.parametrize("package", ["tool_specs", "diffagent_tools"])
def test_every_public_name_resolves(package: str) -> None:
    module = importlib.import_module(package)

    assert module.__all__
    for name in module.__all__:
        assert getattr(module, name) is not None
    assert set(module.__all__) <= set(dir(module))
    with pytest.raises(AttributeError, match="no_such_name"):
        _ = module.no_such_name


FORBIDDEN = {
    "tool_specs": {"torch", "langchain", "langchain_core", "langgraph", "diffagent_tools", "graphs", "finetune"},
    "diffagent_tools": {"graphs", "finetune"},
    "graphs": {"finetune"},
    "finetune": {"graphs"},
}


@pytest.mark.parametrize("package", FORBIDDEN)
def test_imports_only_go_down(package: str) -> None:
    for path in (ROOT / package).rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            if isinstance(node, ast.ImportFrom) and node.module:
                names = [node.module]
            wrong = {name.partition(".")[0] for name in names} & FORBIDDEN[package]
            assert not wrong, f"{path.relative_to(ROOT)} imports {wrong}"
