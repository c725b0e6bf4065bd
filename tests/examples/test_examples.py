"""Every example runs as it stands, over the pocket world, and shows something."""

from __future__ import annotations

import sys
from importlib import import_module
from pathlib import Path

import pytest
from PIL import Image

from tool_specs.pocket import POCKET_DIR

EXAMPLES = Path(__file__).parents[2] / "examples"
PROGRAMS = sorted(path.stem for path in EXAMPLES.glob("*.py") if path.stem not in ("__init__", "demo"))

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        not (POCKET_DIR / "records").is_dir(), reason="the pocket world is not in the package: make pocket-train"
    ),
]


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("DIFFAGENT_HOME", str(tmp_path))
    monkeypatch.delenv("DIFFAGENT_BASE_URL", raising=False)
    return tmp_path


def run(name: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> list[str]:
    """What an example prints."""
    monkeypatch.setattr(sys, "argv", [name])
    import_module(f"examples.{name}").main()
    return capsys.readouterr().out.splitlines()


@pytest.mark.parametrize("name", PROGRAMS)
def test_it_is_short(name: str) -> None:
    assert len((EXAMPLES / f"{name}.py").read_text(encoding="utf-8").splitlines()) <= 60


def test_the_agent_looks_for_a_model_and_draws(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    lines = run("langchain_agent", monkeypatch, capsys)
    assert [line.split()[1] for line in lines if line.startswith("->")] == [
        "search_models", "civitai_9001_pocket_animals",
    ]  # fmt: skip
    assert Path(lines[-1].removeprefix("The picture is drawn: ")).is_file()


def test_the_model_writes_a_call(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    printed = "\n".join(run("tool_calling_llm", monkeypatch, capsys))
    assert "civitai_9001_pocket_animals" in printed
    assert "civitai:9013@9113" in printed


@pytest.mark.parametrize("name", ["compare", "storyboard"])
def test_three_pictures_stand_on_one_sheet(
    name: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    *rows, sheet = run(name, monkeypatch, capsys)
    assert [row[:2] for row in rows] == ["1.", "2.", "3."]
    with Image.open(sheet) as picture:
        assert picture.width > 3 * 200


def test_the_notebook_runs(home: Path) -> None:
    import nbformat
    from nbclient import NotebookClient

    notebook = nbformat.read(EXAMPLES / "notebook.ipynb", as_version=4)
    NotebookClient(notebook, timeout=300, kernel_name="python3", resources={"metadata": {"path": str(home)}}).execute()
    shown = [output for cell in notebook.cells if cell.cell_type == "code" for output in cell.outputs]
    assert any("image/png" in output.get("data", {}) for output in shown)
    assert len(list(home.glob("artifacts/*/*.png"))) >= 3
