from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from graphs.cli.main import COMMANDS
from tests.graphs.cli.conftest import Result
from tests.graphs.paper_world import ANIMALS, FOOD, WATERCOLOR, PaperBackend
from tool_specs.infotext import parse_infotext

ROOT = Path(__file__).parents[3]
Run = Callable[..., Result]


def test_pick_writes_the_call_and_draws_nothing(run: Run, backend: PaperBackend) -> None:
    document = run("pick", "a fox, watercolor", "--seed", "3", "--json").document
    assert document["call"]["checkpoint"] == ANIMALS
    assert [lora["id"] for lora in document["call"]["loras"]] == [WATERCOLOR]
    assert parse_infotext(document["infotext"]).seed == 3
    assert document["model"]["why"]
    people = run("pick", "a fox, watercolor", "--planner", "retrieval")
    assert people.code == 0
    assert "Paper Watercolor 0.9" in people.stdout
    assert "Steps: 4, Sampler: DPM++ 2M" in people.stdout
    assert backend.drawn == []


def test_pick_says_when_nothing_fits(run: Run) -> None:
    assert run("pick", "quarterly tax declaration").code == 3
    document = run("pick", "quarterly tax declaration", "--json").document
    assert document["call"] is None
    assert document["error"]["type"] == "nothing_fits"
    assert document.keys() == run("pick", "a fox", "--json").document.keys()
    assert run("pick", "quarterly tax declaration", "--model", FOOD, "--json").document["call"]["checkpoint"] == FOOD


def test_pick_refuses_what_draw_refuses(run: Run) -> None:
    assert run("pick", "").code == 2
    assert run("pick", "a fox", "--steps", "0").code == 2
    assert run("pick", "a fox", "--model", "9099").code == 2


def test_pick_writes_the_call_for_other_programs(run: Run) -> None:
    fox = ("pick", "a fox, watercolor", "--seed", "3")
    compile(run(*fox, "--export", "diffusers").stdout, "fox.py", "exec")
    workflow = run(*fox, "--export", "comfyui")
    assert json.loads(workflow.stdout)["1"]["class_type"] == "CheckpointLoaderSimple"
    assert "this workflow shows the form, it cannot run" in workflow.stderr
    document = run(*fox, "--export", "a1111", "--json").document
    assert document["export"] == document["infotext"]
    assert run(*fox, "--export", "a1111").stdout == document["export"] + "\n"
    refused = run(*fox, "--export", "air")
    assert (refused.code != 0, refused.stdout) == (True, "")
    assert "exists only inside this package, so it has no AIR" in refused.stderr
    assert run("pick", "quarterly tax declaration", "--export", "diffusers").code == 3


def test_search_lists_models_and_the_networks_asked_for(run: Run) -> None:
    result = run("search", "a fox, watercolor")
    assert result.code == 0
    assert "Paper Animals" in result.stdout
    assert "Paper Watercolor" in result.stdout
    assert "Paper Pixels" not in result.stdout
    document = run("search", "a fox", "--json", "-n", "1").document
    assert [one["id"] for one in document["models"]] == [ANIMALS]
    assert document["fits"] is True


def test_search_for_a_style_alone_finds_the_network(run: Run) -> None:
    result = run("search", "watercolor")
    assert result.code == 0
    assert "Paper Watercolor" in result.stdout
    assert "Paper Animals" not in result.stdout
    assert result.stderr == ""


def test_search_finds_nothing(run: Run) -> None:
    result = run("search", "quarterly tax declaration")
    assert result.code == 3
    assert "nearest" in result.stderr
    assert run("search", "quarterly tax declaration", "--json").document["error"]["exit_code"] == 3


@pytest.mark.parametrize("name", [ANIMALS, "9001", "civitai_9001_paper_animals"])
def test_show_takes_every_kind_of_name(run: Run, name: str) -> None:
    assert run("show", name, "--json").document["id"] == ANIMALS
    assert "Draws fox, cat, dog." in run("show", name).stdout


def test_show_names_the_nearest_of_an_unknown_model(run: Run) -> None:
    result = run("show", "civitai:9001@7")
    assert result.code == 2
    assert ANIMALS in result.stderr


def test_a_request_is_no_markup(run: Run) -> None:
    result = run("draw", "a [bold]fox[/] [link=http://x]", "--json")
    assert result.document["request"] == "a [bold]fox[/] [link=http://x]"
    assert run("draw", "a [bold]fox[/bold] [/]").code == 0


def test_help_and_usage(run: Run) -> None:
    top = run("--help")
    assert top.code == 0
    assert all(command in top.stdout for command in COMMANDS)
    assert "Exit codes" in top.stdout
    for command in COMMANDS:
        told = run(command, "--help")
        assert told.code == 0
        assert "Examples" in told.stdout
    assert run().code == 2
    unknown = run("paint", "a fox")
    assert (unknown.code, unknown.stderr.count("\n")) == (2, 1)
    assert run("pick", "--json").document["error"]["exit_code"] == 2


def test_help_is_quick_and_loads_nothing_heavy() -> None:
    code = (
        "import json, sys, time; start = time.process_time(); from graphs.cli.main import main; main(['--help']);"
        "heavy = [name for name in ('torch', 'langgraph', 'langchain_core', 'rich', 'numpy') if name in sys.modules];"
        "print(json.dumps([time.process_time() - start, heavy]))"
    )
    output = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    seconds, heavy = json.loads(output.splitlines()[-1])
    assert seconds < 1
    assert heavy == []


def test_a_reader_that_goes_away_is_no_error() -> None:
    command = f"{sys.executable} -m tests.graphs.cli.paper_command show 9001 --json | head -c 1"
    result = subprocess.run(
        command, shell=True, cwd=ROOT, capture_output=True, text=True, env={"LOG": "/dev/null", "PATH": "/usr/bin:/bin"}
    )
    assert result.stderr == ""
