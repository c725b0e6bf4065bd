"""Rollouts of models that do not ship, by the command."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from finetune.cli.main import main
from finetune.dabench.drawing import FILE_NAME, Judgement
from finetune.dabench.left_out import LeftOut
from finetune.dabench.pairs import write_pairs
from finetune.json_lines import JsonLines
from finetune.sfta.rollouts import Rollout, RolloutSettings
from finetune.sfta.rollouts_on_ray import RolloutWorker
from tests.own_catalog import ANIMALS, OwnCatalog, own_catalog, own_pairs
from tool_specs.pocket import POCKET_DIR
from tool_specs.store.database import CatalogDatabase

pytestmark = pytest.mark.skipif(
    not (POCKET_DIR / "records").is_dir(), reason="the pocket world is not in the package: make pocket-train"
)


@pytest.fixture
def own(tmp_path: Path) -> Iterator[OwnCatalog]:
    """A catalog whose models do not ship, and the environment that finds their weights and rewards."""
    made = own_catalog(tmp_path)
    with pytest.MonkeyPatch.context() as patch:
        made.settle(patch)
        yield made


@pytest.fixture
def words(own: OwnCatalog, tiny_planner: Path, tmp_path: Path) -> list[str]:
    write_pairs(tmp_path / "data", own_pairs(), card="# Own")
    few = ("sampled=0", "perturbed=0", "seeds=1")
    places = {"model": tiny_planner, "data": tmp_path / "data", "out": tmp_path / "rows", "catalog": own.catalog}
    return ["rollouts", *(f"{name}={place}" for name, place in places.items()), *few]


@pytest.mark.slow
def test_models_of_ones_own_catalog_are_drawn_and_judged_by_ones_own_rewards(
    words: list[str], own: OwnCatalog, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(words) == 0
    file = tmp_path / "rows" / "rollouts-0-of-1.jsonl"
    assert capsys.readouterr().out == f"{file}\n"
    fox, pizza, tax = JsonLines(file, Rollout).read()
    assert [row.id for row in (fox, pizza, tax)] == ["train-fox", "train-pizza", "train-tax"]
    assert "civitai_7001" in fox.prompt
    assert (fox.sources[0], pizza.sources[0], tax.rewards[-1]) == ("gold", "gold", 1.0)
    assert 0 < fox.rewards[0] < 1
    judged = JsonLines(file.with_suffix("") / FILE_NAME, Judgement).read()
    assert judged
    assert all(one.fault is None and set(one.scores) == {"clip-clip-own"} for one in judged)

    # Rows of another calibration, and of other weights, are not put beside these.
    own.calibrate(5.0)
    assert main(words) == 2
    assert "rollouts-0-of-1.jsonl was begun with another reward; choose another out" in capsys.readouterr().err
    own.calibrate(0.0)
    assert main(words) == 0
    with CatalogDatabase.open(own.catalog) as database:
        spec = database.spec(ANIMALS)
        assert spec is not None
        (other,) = (file.model_copy(update={"sha256": "A" * 64}) for file in spec.files)
        with database.transaction() as writing:
            writing.put_specs([spec.model_copy(update={"files": (other,)})], origin="api")
    assert main(words) == 2
    assert "was begun with another catalog" in capsys.readouterr().err


def test_without_rewards_or_a_catalog_it_says_what_is_missing(
    words: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("DIFFAGENT_REWARDS")
    assert main(words) == 2
    assert "DIFFAGENT_REWARDS is not set; let it name the folder of your reward models" in capsys.readouterr().err
    assert main([*words, f"catalog={tmp_path / 'none'}"]) == 2
    assert "there is no catalog in" in capsys.readouterr().err
    assert not (tmp_path / "rows").exists()


def test_a_worker_of_a_cluster_makes_them_too_and_says_what_it_leaves_out(
    own: OwnCatalog, tiny_planner: Path, tmp_path: Path
) -> None:
    write_pairs(tmp_path / "data", own_pairs(), card="# Own")
    places = {"model": tiny_planner, "data": tmp_path / "data", "out": tmp_path, "catalog": own.catalog}
    worker = RolloutWorker(RolloutSettings(**places, sampled=0, perturbed=0).model_dump_json())
    *_, tax = own_pairs()
    made = worker({"pair": tax.model_dump_json()})
    assert made["made"]
    assert Rollout.model_validate_json(str(made["row"])).rewards[-1] == 1.0
    left_out = worker({"pair": tax.model_copy(update={"instruction": "!!!"}).model_dump_json()})
    assert not left_out["made"]
    assert "holds no words" in LeftOut.model_validate_json(str(left_out["row"])).reason
