from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image

from tests.graphs.cli.conftest import Result
from tests.graphs.paper_world import ANIMALS, FOOD, PaperBackend

Run = Callable[..., Result]


def test_compare_ranks_the_models_and_copies_the_pictures(run: Run, tmp_path: Path) -> None:
    result = run("compare", "a fox", "--models", "2", "--seed", "5", "--out", str(tmp_path / "out"))
    assert result.code == 0
    *rows, path = result.stdout.strip().splitlines()
    assert {row.split()[1] for row in rows[1:]} == {"Animals", "Food"}
    assert Path(path) == tmp_path / "out" / "a-fox.png"
    with Image.open(path) as sheet:
        assert sheet.width > 2 * 256
    assert sorted(file.name for file in (tmp_path / "out").iterdir()) == [
        "a-fox-paper-animals.png",
        "a-fox-paper-food.png",
        "a-fox.png",
    ]
    assert "Paper Food, attempt 1" in result.stderr


def test_compare_answers_programs_in_one_document(run: Run, backend: PaperBackend) -> None:
    document = run("compare", "a fox", "--json", "--thread", "foxes").document
    assert {row["branch"]["best"]["model"] for row in document["rows"]} == {ANIMALS, FOOD}
    assert (document["status"], document["error"], document["thread"]) == ("accepted", None, "foxes")
    assert len(backend.drawn) == 2
    again = run("compare", "--json", "--thread", "foxes").document
    assert again["sheet"] == document["sheet"]
    assert len(backend.drawn) == 2


def test_a_thread_of_one_command_is_none_of_another(run: Run) -> None:
    assert run("draw", "a fox", "--thread", "foxes").code == 0
    refused = run("compare", "--thread", "foxes")
    assert refused.code == 2
    assert "there is no thread 'foxes' to go on with" in refused.stderr
    assert run("compare", "a fox", "--thread", "foxes").code == 0


@pytest.mark.parametrize("command", ["compare", "refine", "storyboard"])
def test_nothing_fits_or_nothing_said(run: Run, command: str) -> None:
    nothing = run(command, "quantum chromodynamics", "--json")
    assert (nothing.code, nothing.document["error"]["type"]) == (3, "nothing_fits")
    assert run(command).code == 2
    assert run(command, "...").code in (2, 3)
    assert run(command, "a fox", "--steps", "1000000").code == 2


def test_storyboard_draws_each_sentence(run: Run, tmp_path: Path) -> None:
    result = run("storyboard", "A fox. A pizza. Style: watercolor.", "--out", str(tmp_path / "out"))
    assert result.code == 0
    lines = result.stdout.strip().splitlines()
    assert ["A fox." in lines[1], "A pizza." in lines[2]] == [True, True]
    assert Path(lines[-1]).parent == tmp_path / "out"
    assert "2, watercolor" in result.stderr
    assert "shot 2, attempt 1" in result.stderr


def test_refine_makes_it_better_step_by_step(run: Run, backend: PaperBackend) -> None:
    backend.levels = (0.1, 0.3, 0.9)
    result = run("refine", "a fox", "--thread", "better")
    assert result.code == 0
    assert "redraws the best picture" in result.stderr
    assert len(backend.drawn) == 3
    document = run("refine", "--thread", "better", "--json").document
    assert document["best"]["n"] == 3
    assert document["best"]["call"]["denoising_strength"] == 0.6
    assert len(backend.drawn) == 3
