from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from finetune.cli.dabench_eval import command
from finetune.cli.main import main
from finetune.dabench import evaluation, results
from finetune.dabench.drawing import FILE_NAME as DRAWINGS
from finetune.dabench.pairs import Pair, read_pairs, write_pairs
from finetune.dabench.run import BASELINES, EvalSettings, run
from finetune.dabench.summary import summarise
from finetune.json_lines import JsonLines
from tests.finetune.dabench.pocket_pairs import pocket_pairs
from tests.own_catalog import ANIMALS, own_catalog, own_pairs
from tests.stored_models import furnish
from tool_specs.exceptions import ConfigError
from tool_specs.pocket import POCKET_DIR


@pytest.fixture(scope="module", autouse=True)
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """A home folder of its own, for what is remembered of texts."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DIFFAGENT_HOME", str(tmp_path_factory.mktemp("home")))
        yield


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Twenty pairs to ask and sixty to learn from."""
    folder = tmp_path_factory.mktemp("data") / "pocket-pairs"
    write_pairs(folder, [*pocket_pairs(20), *pocket_pairs(60, "train", first=20)], card="# Pocket pairs")
    return folder


def rows_in(folder: Path) -> list[results.Result]:
    return JsonLines(folder / evaluation.FILE_NAME, results.Result).read()


def eval_command(*arguments: object) -> Result:
    return CliRunner().invoke(command, [str(one) for one in arguments], catch_exceptions=True)


def test_the_baselines_on_the_pocket_catalog(dataset: Path, tmp_path: Path) -> None:
    done = eval_command(dataset, "--out", tmp_path / "run")
    assert done.exit_code == 0, done.exception
    report = tmp_path / "run" / "report.md"
    assert done.stdout == f"{report}\n"
    pairs, rows = read_pairs(dataset, "test"), rows_in(tmp_path / "run")
    assert len(rows) == 80
    assert {row.planner for row in rows} == set(BASELINES)
    (summary,) = summarise(pairs, rows)
    measured = summary.intervals
    assert all(measured[name]["invented"].mean == measured[name]["invalid"].mean == 0 for name in BASELINES)
    assert measured["retrieval"]["checkpoint"].mean == measured["retrieval"]["loras_exact"].mean == 1.0
    assert measured["retrieval"]["decline_recall"].mean == 1.0
    assert measured["nearest"]["checkpoint"].mean > measured["random"]["checkpoint"].mean
    assert measured["random"]["agreement"].mean < 0.3
    assert measured["random"]["decline_recall"].mean == 0.0
    assert math.isnan(measured["random"]["reward"].mean)
    text = report.read_text(encoding="utf-8")
    assert "- data set: pocket-pairs\n" in text
    assert "20 pairs: 16 can be drawn, 4 cannot." in text
    nearest = measured["nearest"]["checkpoint"]
    assert f"{100 * nearest.mean:.1f} % [{100 * nearest.low:.1f}, {100 * nearest.high:.1f}]" in text
    assert "nearest − retrieval" in text


@pytest.mark.slow
def test_three_pairs_are_drawn_and_judged(dataset: Path, tmp_path: Path) -> None:
    planners = ["retrieval", "again=retrieval", "popularity"]
    settings = EvalSettings(dataset=dataset, out=tmp_path, planners=planners, draw=True, limit=3)
    text = run(settings).read_text(encoding="utf-8")
    rows = rows_in(tmp_path)
    assert all(row.drawn and row.reward is not None and set(row.scores) == {"clip-pocket"} for row in rows)
    assert len((tmp_path / DRAWINGS).read_text().splitlines()) <= 6
    (summary,) = summarise(read_pairs(dataset, "test")[:3], rows)
    ours, again = (summary.intervals[name]["reward"] for name in ("retrieval", "again"))
    assert ours == again
    assert ours.mean > summary.intervals["popularity"]["reward"].mean
    assert f"{ours.mean:.3f} [{ours.low:.3f}, {ours.high:.3f}]" in text
    assert (tmp_path / "reward.png").is_file()


def test_settings_come_from_a_file_and_options_count_more(dataset: Path, tmp_path: Path) -> None:
    config = tmp_path / "eval.yaml"
    config.write_text(f"dataset: {dataset}\nout: {tmp_path / 'run'}\nplanners: [a=random, b=random:1]\nlimit: 10\n")
    done = eval_command("--config", config, "--limit", 2, "--compare", "a,b")
    assert done.exit_code == 0, done.exception
    assert sorted(row.planner for row in rows_in(tmp_path / "run")) == ["a", "a", "b", "b"]
    assert "a − b" in (tmp_path / "run" / "report.md").read_text(encoding="utf-8")


def test_models_of_a_stored_catalog_are_called(tmp_path: Path) -> None:
    furnish(tmp_path / "catalog")
    call = {"family": "sd15", "checkpoint": "civitai:1@11", "prompt": "an old castle"}
    texts = ("a stone castle on a hill", "a castle in the mist at sunset")
    pairs = [
        Pair(id=f"{split}-{n}", instruction=text, reference=text, call=call, split=split)
        for split in ("train", "unseen")
        for n, text in enumerate(texts)
    ]
    write_pairs(tmp_path / "data", pairs, card="# Castles")
    folders = {"dataset": tmp_path / "data", "out": tmp_path / "run", "catalog": tmp_path / "catalog"}
    run(EvalSettings(**folders, splits=["unseen"], planners=list(BASELINES)))
    rows = rows_in(tmp_path / "run")
    assert len(rows) == 8
    assert all(row.call and row.problem is None and row.offered[0] == "civitai:1@11" for row in rows)
    assert {row.model for row in rows if row.planner != "random"} == {"civitai:1@11"}


@pytest.mark.slow
@pytest.mark.skipif(not (POCKET_DIR / "records").is_dir(), reason="the pocket world is not in the package")
def test_models_of_a_stored_catalog_are_drawn_and_judged(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    own = own_catalog(tmp_path)
    own.settle(monkeypatch)
    write_pairs(tmp_path / "data", [*own_pairs("train"), *own_pairs("test")], card="# Own")
    words = (tmp_path / "data", "--out", tmp_path / "run", "--planner", "nearest", "--catalog", own.catalog, "--draw")
    rewards = []
    for shift in (0.0, 0.0, 9.0):
        own.calibrate(shift)
        done = eval_command(*words)
        assert done.exit_code == 0, done.exception
        fox = {row.pair: row for row in rows_in(tmp_path / "run")}["test-fox"]
        assert (fox.model, fox.drawn, set(fox.scores)) == (ANIMALS, True, {"clip-clip-own"})
        rewards.append(fox.reward or 0.0)
    first, again, stricter = rewards
    assert first == again > stricter

    monkeypatch.delenv("DIFFAGENT_REWARDS")
    with pytest.raises(ConfigError, match="DIFFAGENT_REWARDS is not set"):
        raise eval_command(*words).exception or AssertionError


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (["--split", "nowhere"], "there is no split 'nowhere' in .*; use one of train, test"),
        (["--planner", "best"], "'best' is no planner"),
        (["--compare", "nearest,best"], "'best' cannot be compared: it is not asked"),
        (["--compare", "nearest"], "compare"),
    ],
)
def test_wrong_settings_are_told_before_anything_is_asked(
    dataset: Path, tmp_path: Path, options: list[str], told: str
) -> None:
    done = eval_command(dataset, "--out", tmp_path / "run", *options)
    assert isinstance(done.exception, ConfigError)
    with pytest.raises(ConfigError, match=told):
        raise done.exception
    assert not (tmp_path / "run").exists()


def test_the_command_is_part_of_diffagent_train(
    dataset: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["dabench", "eval", str(dataset), "--out", str(tmp_path), "--planner", "best"]) == 2
    assert "diffagent-train: 'best' is no planner" in capsys.readouterr().err


def test_what_is_missing_is_named() -> None:
    with pytest.raises(ConfigError, match="'dataset' is missing; 'out' is missing"):
        raise eval_command().exception or AssertionError
