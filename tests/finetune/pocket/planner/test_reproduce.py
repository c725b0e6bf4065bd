from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from click.testing import CliRunner

from finetune.cli.main import diffagent_train
from finetune.dabench.pairs import read_pairs
from finetune.pocket.planner.figures import read_figures
from finetune.pocket.planner.recipe import FULL, QUICK
from finetune.pocket.planner.reproduce import Reproduction
from tests.finetune.sfta.tiny_planner import save_planner
from tool_specs.exceptions import ConfigError


def test_a_folder_goes_on_with_the_recipe_that_it_was_begun_with(tmp_path: Path) -> None:
    out = tmp_path / "planner"
    Reproduction(out, QUICK).dataset()
    Reproduction(out, QUICK).dataset()
    with pytest.raises(
        ConfigError, match=r"planner was begun with another asked, counts, .*rewordings, .*remove this one"
    ):
        Reproduction(out, FULL)
    shutil.rmtree(out)
    Reproduction(out, FULL)


def test_quick_has_a_folder_of_its_own() -> None:
    told = CliRunner().invoke(diffagent_train, ["reproduce", "--help"], terminal_width=200).output
    assert "pocket-planner; with --quick, pocket-planner-quick" in told


def test_the_planner_is_exported_again_when_it_was_trained_again(tmp_path: Path) -> None:
    stages = Reproduction(tmp_path, QUICK)
    trained = save_planner(tmp_path / "rrhf" / "model")
    weights = stages.export() / "model.safetensors"
    first, made = weights.read_bytes(), weights.stat().st_mtime_ns
    assert stages.export().joinpath("model.safetensors").stat().st_mtime_ns == made

    shutil.rmtree(trained)
    save_planner(trained, seed=1)
    assert stages.export().joinpath("model.safetensors").read_bytes() != first


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_every_stage_from_nothing(tmp_path: Path) -> None:
    out = tmp_path / "planner"

    first = CliRunner().invoke(diffagent_train, ["reproduce", "--pocket", "--quick", "--out", str(out)])

    assert first.exit_code == 0, first.output
    assert len(read_pairs(out / "dabench", "requests")) == 24
    lessons = [json.loads(line) for line in (out / "lessons.jsonl").read_text().splitlines()]
    calls = [row for row in lessons if "<tool_call>" in row["completion"] and not row["id"].startswith("drill-")]
    assert sum(row["id"].startswith("drill-") for row in lessons) == 40
    assert sum('"sampler"' in row["completion"] for row in calls) / len(calls) == pytest.approx(0.5, abs=0.15)
    for stage in ("drilled", "sft", "rrhf", "dpo"):
        losses = [json.loads(line)["loss"] for line in (out / stage / "log.jsonl").read_text().splitlines()]
        assert losses
        assert all(loss is None or loss == loss for loss in losses)
    rollouts = [json.loads(line) for line in (out / "rollouts.jsonl").read_text().splitlines()]
    assert len(rollouts) == 10
    rankings = [json.loads(line) for line in (out / "rankings.jsonl").read_text().splitlines()]
    reworded = [row for row in rankings if "-words-" in row["id"]]
    assert [row for row in rankings if row["id"].startswith("train-") and row not in reworded] == rollouts
    assert len(reworded) == 10 * QUICK.rewordings
    reviews = [row for row in rankings if not row["id"].startswith("train-")]
    assert {row["id"].split("-")[0] for row in reviews} == {"pocket", "made up", "mixed"}
    assert all(len(row["responses"]) == 1 for row in reviews)
    assert not any("sampler" in row["responses"][0] for row in reviews)
    assert rankings == [*rankings[: len(rankings) - len(reviews)], *reviews]
    assert (out / "planner" / "chat_template.jinja").is_file()
    report = (out / "report.md").read_text()
    assert "rrhf − sft" in report
    assert "Models that came after training" in report
    figures = read_figures(out / "planner")
    assert {name: split.pairs for name, split in figures.splits.items()} == {
        "test": QUICK.drawn, "unseen_styles": QUICK.counts["unseen_styles"], "requests": QUICK.asked
    }  # fmt: skip
    assert figures.splits["test"].planners["dpo"]["reward"].n == figures.splits["test"].drawable
    assert {*figures.newcomers} == {"rrhf", "sft"}
    assert (out / "curves.png").stat().st_size > 1000
    check_a_second_run(out)


def check_a_second_run(out: Path) -> None:
    """Nothing is made twice, and nothing is taken for what it is not made of."""
    stages = Reproduction(out, QUICK)
    products = ("lessons.jsonl", "rollouts.jsonl", "rankings.jsonl", "rrhf/model/README.md", "planner/README.md")
    before = [(out / product).stat().st_mtime_ns for product in products]
    for stage in (stages.lessons, stages.sft, stages.rollouts, stages.rankings, stages.rrhf, stages.export):
        stage()
    assert [(out / product).stat().st_mtime_ns for product in products] == before

    rollouts = out / "rollouts.jsonl"
    ranked = (out / "rankings.jsonl").read_text(encoding="utf-8").splitlines()
    shorter = "".join(rollouts.read_text(encoding="utf-8").splitlines(keepends=True)[:8])
    rollouts.write_text(shorter, encoding="utf-8")
    assert len(stages.rankings().read_text(encoding="utf-8").splitlines()) == len(ranked) - 2 * (1 + QUICK.rewordings)
    with pytest.raises(ConfigError, match=r"rrhf began with other data in the same files.*remove this one"):
        stages.rrhf()

    shutil.copy(out / "dpo" / "model" / "model.safetensors", out / "sft" / "model")
    with pytest.raises(ConfigError, match=r"rollouts was begun with another planner; choose another out, or remove"):
        stages.rollouts()
