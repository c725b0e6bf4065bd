"""Drawing with the models of a catalog of one's own: here the pocket models, imported like any others."""

from __future__ import annotations

import io
import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from graphs.cli.main import main
from graphs.workshop import Workshop
from tests.graphs.cli.conftest import Result
from tool_specs.pocket import POCKET_DIR, pocket_file

pytestmark = pytest.mark.skipif(
    not (POCKET_DIR / "records").is_dir(), reason="the pocket world is not in the package: make pocket-train"
)


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Callable[..., Result]:
    """Runs the command in a new home, whose catalog holds the pocket models."""
    monkeypatch.setenv("DIFFAGENT_HOME", str(tmp_path / "home"))
    for name in ("DIFFAGENT_BASE_URL", "DIFFAGENT_MODELS", "DIFFAGENT_REWARDS"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("COLUMNS", "160")

    def command(*arguments: str) -> Result:
        code = main(arguments)
        captured = capfd.readouterr()
        return Result(code, captured.out, captured.err)

    assert command("import", str(POCKET_DIR / "records")).code == 0
    return command


def test_it_is_drawn_and_taken_without_a_reward_model_if_it_has_no_fault(run: Callable[..., Result]) -> None:
    drawn = run("draw", "--stored", "a fox", "--force", "--steps", "4", "--json").document
    (attempt,) = drawn["attempts"]
    assert (attempt["call"]["checkpoint"], attempt["verdict"], attempt["reward"]) == ("civitai:9001@9101", "ok", 1.0)
    assert attempt["scores"] == {"none": 1.0}
    assert Path(drawn["best"]["reference"]["path"]).is_file()


def test_what_was_named_is_looked_up_there(run: Callable[..., Result]) -> None:
    picked = run("pick", "--stored", "a fox", "--model", "9003", "--lora", "9011:0.5", "--json").document
    assert picked["call"]["checkpoint"] == "civitai:9003@9103"
    assert picked["call"]["loras"] == [{"id": "civitai:9011@9111", "weight": 0.5}]
    for option in ("--model", "--lora"):
        unknown = run("pick", "--stored", "a fox", option, "123456")
        assert (unknown.code, unknown.stdout) == (2, "")
        assert "123456" in unknown.stderr


def test_what_it_says_to_go_on_with_goes_on(run: Callable[..., Result], monkeypatch: pytest.MonkeyPatch) -> None:
    request = ("draw", "--stored", "a fox", "--force", "--steps", "2", "--planner", "retrieval")
    monkeypatch.setattr("sys.stdin", io.StringIO(""))
    broken_off = run(*request, "--approve", "--thread", "t7")
    (hint,) = [line for line in broken_off.stderr.splitlines() if line.startswith("go on with: ")]
    assert hint == "go on with: diffagent draw --planner retrieval --stored --thread t7"
    monkeypatch.setattr("sys.stdin", io.StringIO("y\n"))
    assert run(*hint.split()[4:]).code == 0


def test_the_pocket_planner_stays_with_the_pocket_models(run: Callable[..., Result]) -> None:
    refused = run("draw", "--stored", "a fox", "--planner", "pocket")
    assert refused.code == 2
    assert "choose --planner retrieval or server" in refused.stderr


def test_reward_models_that_are_not_there_are_missed(
    run: Callable[..., Result], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DIFFAGENT_REWARDS", str(tmp_path / "rewards"))
    missing = run("draw", "--stored", "a fox")
    assert missing.code == 2
    assert str(tmp_path / "rewards") in missing.stderr


def test_without_a_catalog_there_is_nothing_to_draw_with(
    run: Callable[..., Result], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DIFFAGENT_HOME", str(tmp_path / "empty"))
    nothing = run("draw", "--stored", "a fox", "--json")
    assert nothing.code == 2
    assert json.loads(nothing.stdout or "null") is None or nothing.document["error"]
    assert "diffagent sync" in nothing.stderr + nothing.stdout


def test_weights_are_found_in_ones_own_folder_and_the_graph_tells_how_far_it_is(
    run: Callable[..., Result], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The pocket animals under another number and file name."""
    text = (POCKET_DIR / "records" / "9001.json").read_text(encoding="utf-8")
    for number, other in (("9001", "7001"), ("9101", "7101"), ("9201", "7201"), ("pocket_animals", "our_animals")):
        text = text.replace(number, other)
    (tmp_path / "7001.json").write_text(text, encoding="utf-8")
    assert run("import", str(tmp_path / "7001.json")).code == 0
    file = tmp_path / "models" / "checkpoints" / "renamed.safetensors"
    file.parent.mkdir(parents=True)
    shutil.copy(pocket_file("pocket_animals.safetensors"), file)
    monkeypatch.setenv("DIFFAGENT_MODELS", str(tmp_path / "models"))

    graph = Workshop(stored=True).graph()
    request = {"request": "a fox", "options": {"model": "civitai:7001@7101", "steps": 4}}
    events = list(graph.stream(request, stream_mode="custom"))

    weights = [event for event in events if event["event"] == "weights"]
    assert {event["what"] for event in weights} == {"hashing"}
    assert weights[-1]["done"] == weights[-1]["total"] == file.stat().st_size
    assert events.index(weights[-1]) < next(n for n, event in enumerate(events) if event["event"] == "step")
    assert events[-1]["status"] == "accepted"
