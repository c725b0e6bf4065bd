from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image

from diffagent_tools.artifacts import read_call
from tests.graphs.cli.conftest import Result
from tests.graphs.paper_world import ANIMALS, FOOD, OLD_STYLE, PIXEL, PaperBackend
from tool_specs.exceptions import ArtifactError, WeightsError

ROOT = Path(__file__).parents[3]
Run = Callable[..., Result]


def test_json_is_one_document_and_nothing_else(run: Run) -> None:
    result = run("draw", "a fox, pixel art", "--json")
    assert result.code == 0
    document = result.document
    assert document["status"] == "accepted"
    assert document["error"] is None
    assert document["best"]["model"] == ANIMALS
    assert [lora["id"] for lora in document["best"]["call"]["loras"]] == [PIXEL]
    assert "fox" in document["best"]["call"]["prompt"]
    assert Path(document["best"]["reference"]["path"]).is_file()


def test_people_get_a_table_and_the_path_on_the_last_line(run: Run, backend: PaperBackend) -> None:
    backend.levels = (0.2, 0.4, 0.3)
    result = run("draw", "a fox, pixel art", "--planner", "retrieval")
    assert result.code == 0
    lines = result.stdout.splitlines()
    assert lines[0].split() == ["model", "LoRAs", "parameters", "reward", "verdict", "file"]
    assert len([line for line in lines if "Paper Animals" in line]) == 3
    assert lines[2].startswith("★ 2")
    assert "Paper Pixels 0.9" in lines[2]
    assert "0.40" in lines[2]
    assert Image.open(lines[-1]).size == (64, 64)
    assert "attempt 3" in result.stderr


def test_a_seed_draws_the_same_picture_and_moves_on_with_each_attempt(run: Run, backend: PaperBackend) -> None:
    backend.levels = (0.2, 0.3, 0.9, 0.2)
    first = run("draw", "a fox", "--seed", "4294967295", "--json").document
    assert [attempt["call"]["seed"] for attempt in first["attempts"]] == [4294967295, 0, 1]
    assert run("draw", "a fox", "--seed", "0", "--attempts", "1", "--json").document["best"]["call"]["seed"] == 0


def test_what_a_person_fixes_is_drawn(run: Run) -> None:
    result = run(
        "draw", "a fox", "--model", "9002", "--lora", f"{PIXEL}:0.5", "--steps", "7", "--size", "96x72", "--json"
    )  # fmt: skip
    call = result.document["best"]["call"]
    assert call["checkpoint"] == FOOD
    assert call["loras"] == [{"id": PIXEL, "weight": 0.5}]
    assert "pixel art" in call["prompt"]
    assert (call["steps"], call["width"], call["height"]) == (7, 96, 72)


@pytest.mark.parametrize(
    "name",
    [
        PIXEL,
        f"urn:air:sd1:lora:{PIXEL}",
        "urn:air:sd1:lora:civitai:9011",
        "https://civitai.com/models/9011?modelVersionId=9111",
    ],
)
def test_a_lora_without_a_weight_gets_the_recommended_one(run: Run, name: str) -> None:
    call = run("draw", "a fox", "--lora", name, "--json").document["best"]["call"]
    assert call["loras"] == [{"id": PIXEL, "weight": 0.9}]
    call = run("draw", "a fox", "--lora", f"{name}:0.5", "--json").document["best"]["call"]
    assert call["loras"] == [{"id": PIXEL, "weight": 0.5}]


def test_nothing_fits(run: Run, backend: PaperBackend) -> None:
    result = run("draw", "quarterly tax declaration")
    assert result.code == 3
    assert "Paper Animals" in result.stdout
    assert "--force" in result.stderr
    document = run("draw", "quarterly tax declaration", "--json").document
    assert document["status"] == "nothing_fits"
    assert document["error"]["exit_code"] == 3
    assert backend.drawn == []
    assert run("draw", "quarterly tax declaration", "--force", "--json").code == 0


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ((), "say what to draw"),
        (("",), "empty"),
        (("   ",), "empty"),
        (("x" * 10_000,), "10,000 characters"),
        (("a fox", "--model", "civitai:1@1"), "the nearest are"),
        (("a fox", "--model", PIXEL), "not a checkpoint"),
        (("a fox", "--lora", ANIMALS), "not a LoRA"),
        (("a fox", "--lora", "civitai:1@1:0.5"), "the nearest are"),
        (("a fox", "--lora", OLD_STYLE), "is for SD 1.5"),
        (("a fox", "--lora", f"{PIXEL}:9"), "weight=9"),
        (("a fox", "--lora", f"{PIXEL}:much"), "not a weight"),
        (("a fox", "--steps", "0"), "steps=0 is too small"),
        (("a fox", "--steps", "1000000"), "steps=1000000 is too large"),
        (("a fox", "--steps", "many"), "not a valid integer"),
        (("a fox", "--size", "65x64"), "not a multiple of 8"),
        (("a fox", "--size", "big"), "not a size"),
        (("a fox", "--size", "4096x4096"), "too large"),
        (("a fox", "--seed", "-1"), "seed=-1"),
        (("a fox", "--attempts", "0"), "max_attempts=0"),
        (("a fox", "--seconds", "0"), "max_seconds"),
        (("a fox", "--thread", "../up"), "no thread name"),
        (("--thread", "nobody"), "no thread 'nobody'"),
        (("a fox", "--colour", "red"), "No such option"),
    ],
)
@pytest.mark.parametrize("as_json", [False, True])
def test_bad_usage_is_answered_with_one_clear_line(
    run: Run, backend: PaperBackend, arguments: tuple[str, ...], told: str, as_json: bool
) -> None:
    result = run("draw", *arguments, *(("--json",) if as_json else ()))
    assert result.code == 2
    if as_json:
        assert told in result.document["error"]["message"]
        assert result.document["error"]["exit_code"] == 2
    else:
        assert told in result.stderr
        assert result.stdout == ""
        assert len(result.stderr.strip().splitlines()) == 1
    assert backend.drawn == []


def test_a_backend_that_always_fails(run: Run, backend: PaperBackend) -> None:
    backend.faults = {n: lambda: WeightsError("the weights file is truncated") for n in (1, 2)}
    result = run("draw", "a fox", "--json")
    assert result.code == 4
    assert result.document["status"] == "failed"
    assert "truncated" in result.document["error"]["message"]
    told = run("draw", "a fox", "--attempts", "1")
    assert "truncated" in told.stdout
    assert told.stderr.splitlines()[-1].startswith("diffagent: ")


def test_an_error_in_the_middle_reports_the_best_so_far(run: Run, backend: PaperBackend, tmp_path: Path) -> None:
    backend.levels = (0.3,)
    backend.faults = {2: lambda: ArtifactError("the disk is full; free some space")}
    result = run("draw", "a fox", "--out", str(tmp_path / "out"), "--json")
    assert result.code == 4
    assert "disk is full" in result.document["error"]["message"]
    assert result.document["best"]["n"] == 1
    assert Path(result.document["saved"]).is_file()


def test_out_copies_the_best_under_a_new_readable_name(run: Run, tmp_path: Path) -> None:
    folder = tmp_path / "pictures" / "new"
    saved = [
        run("draw", "a fox, pixel art", "--seed", "5", "--out", str(folder), "--json").document["saved"] for _ in "ab"
    ]
    assert [Path(path).name for path in saved] == [
        "a-fox-pixel-art-paper-animals-5.png",
        "a-fox-pixel-art-paper-animals-5-2.png",
    ]
    assert read_call(saved[0]).seed == 5
    assert sorted(folder.iterdir()) == sorted(Path(path) for path in saved)


def test_a_finished_thread_is_shown_again_and_not_drawn_again(run: Run, backend: PaperBackend) -> None:
    first = run("draw", "a fox", "--thread", "one", "--json").document
    again = run("draw", "--thread", "one", "--json").document
    same = run("draw", "a fox", "--thread", "one", "--json").document
    assert first == again == same
    assert len(backend.drawn) == 1


def test_a_new_request_on_a_finished_thread_is_drawn(run: Run, backend: PaperBackend) -> None:
    run("draw", "a fox", "--thread", "one", "--json")
    assert run("draw", "a pizza", "--thread", "one", "--json").document["best"]["model"] == FOOD
    assert len(backend.drawn) == 2


def test_a_thread_in_the_middle_goes_on_and_takes_nothing_else(run: Run, backend: PaperBackend) -> None:
    backend.levels = (0.3,)
    backend.faults = {2: lambda: ArtifactError("the disk is full")}
    run("draw", "a fox", "--thread", "one")
    other = run("draw", "a pizza", "--thread", "one")
    assert (other.code, "in the middle of 'a fox'" in other.stderr) == (2, True)
    changed = run("draw", "a fox", "--steps", "9", "--thread", "one")
    assert (changed.code, "options cannot change" in changed.stderr) == (2, True)
    result = run("draw", "--thread", "one", "--json")
    assert [attempt["n"] for attempt in result.document["attempts"]] == [1, 2, 3]
    assert len(backend.drawn) == 4


def test_approving_on_the_terminal(run: Run, backend: PaperBackend, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", open(_answers("y\n")))  # noqa: SIM115
    result = run("draw", "a fox", "--approve", "--json")
    assert result.code == 0
    assert "draw it?" in result.stderr
    assert result.document["best"]["n"] == 1


def _answers(text: str) -> int:
    """A file descriptor from which a person's answers can be read."""
    reading, writing = os.pipe()
    os.write(writing, text.encode())
    os.close(writing)
    return reading


def test_rejecting_everything_draws_nothing(run: Run, backend: PaperBackend, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", open(_answers("n\ntoo red\n")))  # noqa: SIM115
    result = run("draw", "a fox", "--approve", "--attempts", "1", "--json")
    assert result.code == 130
    assert "too red" in result.document["attempts"][0]["reason"]
    assert backend.drawn == []


def test_editing_the_call(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EDITOR", 'sed -i \'s/"steps": 4/"steps": 11/\'')
    monkeypatch.setattr("sys.stdin", open(_answers("e\n")))  # noqa: SIM115
    result = run("draw", "a fox", "--approve", "--planner", "retrieval", "--json")
    assert result.document["best"]["call"]["steps"] == 11


def test_what_is_wrong_with_an_edit_is_shown_as_it_is(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EDITOR", "sed -i 's|DPM++ 2M Karras|[/x]|'")
    monkeypatch.setattr("sys.stdin", open(_answers("e\ny\n")))  # noqa: SIM115
    result = run("draw", "a fox", "--approve", "--json")
    assert "that does not work" in result.stderr
    assert "[/x]" in result.stderr
    assert result.code == 0


def test_nobody_to_ask_is_an_interruption_that_can_be_gone_on_with(
    run: Run, backend: PaperBackend, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stdin", open(os.devnull))  # noqa: PTH123, SIM115
    assert run("draw", "a fox", "--approve", "--thread", "one").code == 130
    assert backend.drawn == []
    monkeypatch.setattr("sys.stdin", open(_answers("y\n")))  # noqa: SIM115
    assert run("draw", "--thread", "one", "--json").code == 0


def paper_command(folder: Path, *arguments: str) -> subprocess.Popen[str]:
    environment = {
        **os.environ,
        "DIFFAGENT_HOME": str(folder / "home"),
        "LOG": str(folder / "drawn.log"),
        "STEP_SECONDS": "0.2",
        "LEVELS": "0.3,0.9",
        "PYTHONPATH": str(ROOT),
    }
    command = [sys.executable, "-m", "tests.graphs.cli.paper_command", *arguments]
    return subprocess.Popen(
        command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=ROOT
    )


def test_ctrl_c_stops_between_steps_reports_the_best_so_far_and_can_be_gone_on_with(tmp_path: Path) -> None:
    log = tmp_path / "drawn.log"
    process = paper_command(tmp_path, "draw", "a fox", "--thread", "one", "--steps", "8", "--json")
    deadline = time.monotonic() + 60
    while not (log.exists() and len(log.read_text().splitlines()) >= 2):
        assert time.monotonic() < deadline
        assert process.poll() is None
        time.sleep(0.02)
    asked = time.monotonic()
    process.send_signal(signal.SIGINT)
    output, errors = process.communicate(timeout=20)
    assert time.monotonic() - asked < 5
    assert process.returncode == 130
    document = json.loads(output)
    assert document["status"] == "interrupted"
    assert document["best"]["n"] == 1
    assert document["error"]["exit_code"] == 130
    assert "Traceback" not in errors

    output, _ = paper_command(tmp_path, "draw", "--thread", "one", "--json").communicate(timeout=60)
    assert [attempt["n"] for attempt in json.loads(output)["attempts"]] == [1, 2]
    assert len(log.read_text().splitlines()) == 3


def test_an_unforeseen_error_is_one_line_as_well(run: Run, backend: PaperBackend) -> None:
    backend.faults = {1: lambda: ZeroDivisionError("a bug")}
    result = run("draw", "a fox")
    assert result.code == 1
    assert "ZeroDivisionError: a bug" in result.stderr
    assert "Traceback" not in result.stderr


def test_a_home_that_cannot_be_made(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("DIFFAGENT_HOME", str(tmp_path / "file" / "home"))
    result = run("draw", "a fox")
    assert result.code == 2
    assert "set DIFFAGENT_HOME" in result.stderr


def test_an_out_folder_that_cannot_be_written_is_said_before_anything_is_drawn(
    run: Run, backend: PaperBackend, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("")
    result = run("draw", "a fox", "--out", str(tmp_path / "file"))
    assert result.code == 2
    assert "choose another --out" in result.stderr
    assert backend.drawn == []
