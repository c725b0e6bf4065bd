from __future__ import annotations

from pathlib import Path

import pytest

from finetune.dabench.pairs import write_pairs
from finetune.pocket.planner.dataset import pocket_pairs
from finetune.pocket.planner.worlds import pocket_world
from finetune.sfta import rollouts_on_ray
from finetune.sfta.rollout_run import run_rollouts
from finetune.sfta.rollouts import RolloutSettings

pytestmark = [pytest.mark.ray, pytest.mark.slow]


def test_the_rows_are_those_of_one_process_and_it_goes_on_where_that_one_stopped(
    cluster: None, tiny_planner: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rollouts_on_ray, "PAIRS_OF_A_TASK", 1)
    pairs = pocket_pairs(pocket_world(), {"train": 10})[:3]
    write_pairs(tmp_path / "data", pairs, card="Three pairs.")
    here = RolloutSettings(
        model=tiny_planner, data=tmp_path / "data", out=tmp_path / "here", sampled=1, perturbed=0, seeds=1
    )
    ray = here.model_copy(update={"out": tmp_path / "ray", "workers": "ray"})

    rows = run_rollouts(here)
    assert run_rollouts(ray) == rows
    assert sorted(ray.rows.read_bytes().splitlines()) == sorted(here.rows.read_bytes().splitlines())

    first, *_ = here.rows.read_bytes().splitlines(keepends=True)
    here.rows.write_bytes(first)
    assert run_rollouts(here.model_copy(update={"workers": "ray"})) == rows
    assert here.rows.read_bytes().startswith(first)
