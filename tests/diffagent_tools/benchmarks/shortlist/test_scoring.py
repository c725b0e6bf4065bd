from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from diffagent_tools.benchmarks.shortlist.scoring import figures
from diffagent_tools.benchmarks.shortlist.splits import Asked, Task, data_folder, gold_of, read_tasks
from tool_specs.exceptions import ConfigError


def asked(*gold: int) -> Asked:
    return Asked("a red car", frozenset(gold))


def test_the_best_ranked_gold_model_counts() -> None:
    found = figures([asked(1, 2)], [[9, 2, 8, 1]])

    assert found.mrr == found.micro_mrr == 1 / 2
    assert found.recall == (0, 1, 1)


def test_macro_counts_models_and_micro_requests() -> None:
    found = figures([asked(1), asked(1), asked(1), asked(2)], [[1], [1], [9, 1], [9, 8, 7, 2]])

    assert found.mrr == pytest.approx((2.5 / 3 + 1 / 4) / 2)
    assert found.micro_mrr == pytest.approx((2.5 + 1 / 4) / 4)
    assert found.recall == pytest.approx(((2 / 3 + 0) / 2, 1, 1))


def test_what_is_not_found_counts_nothing_for_the_gold_model_with_the_lowest_id() -> None:
    found = figures([asked(5, 3), asked(3)], [[9], [3]])

    assert found.mrr == 1 / 2  # both requests belong to model 3
    assert found.recall == (1 / 2, 1 / 2, 1 / 2)


def test_a_model_counts_once_and_only_fifty_ranks_do() -> None:
    assert figures([asked(1)], [[9, 9, 1]]).mrr == 1 / 2
    assert figures([asked(1)], [[*range(100, 149), 1]]).recall == (0, 0, 1)
    assert figures([asked(1)], [[*range(100, 150), 1]]).mrr == 0


def test_gold_is_of_the_type_and_of_the_models_that_count() -> None:
    entries: list[dict[str, object]] = [
        {"model_id": 1, "type": "Checkpoint"}, {"model_id": 2, "type": "LORA"}, {"model_id": 3, "type": "LORA"},
    ]  # fmt: skip

    assert gold_of(entries, frozenset({"LORA"}), None) == {2, 3}
    assert gold_of(entries, frozenset({"LORA"}), frozenset({1, 3})) == {3}


def test_a_folder_without_the_data_is_an_error_that_says_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DIFFAGENT_SHARED", str(tmp_path))

    with pytest.raises(ConfigError, match=r"no models\.jsonl\.gz in .*set DIFFAGENT_SHARED"):
        data_folder()


@pytest.fixture(scope="module")
def data() -> Path:
    try:
        return data_folder()
    except ConfigError as error:
        pytest.skip(str(error))


@pytest.fixture(scope="module")
def tasks(data: Path) -> list[Task]:
    return read_tasks(data)


@pytest.mark.parametrize(("split", "pairs"), [("dev", "pairs-dev"), ("unseen-dev", "pairs-unseen-dev")])
@pytest.mark.parametrize("kind", ["Checkpoint", "LORA"])
def test_figures_are_those_of_the_script_beside_the_data(
    split: str, pairs: str, kind: str, data: Path, tasks: list[Task], tmp_path: Path
) -> None:
    script = [sys.executable, str(data / "score_shortlist.py")]
    options = ["--type", kind, *(["--only", str(data / "unseen_models.json")] if split == "unseen-dev" else [])]
    file = str(data / f"{pairs}.jsonl.gz")
    queries = subprocess.run([*script, "queries", file, *options], capture_output=True, text=True, check=True).stdout
    ids = [json.loads(line)["id"] for line in queries.splitlines()]
    task = next(task for task in tasks if (task.split, task.kind) == (split, kind))
    # Half of the answers know a model that is right, at a rank of chance.
    chance = np.random.default_rng(0)
    found = [[int(one) for one in chance.permutation([*list(asked.gold)[: n % 2], *range(1, 81)])][:50]
             for n, asked in enumerate(task.asked)]  # fmt: skip
    rows = [{"id": name, "hits": [{"model_id": one} for one in hits]} for name, hits in zip(ids, found, strict=True)]
    answers = tmp_path / "hits.jsonl"
    answers.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")

    scored = subprocess.run(
        [*script, "score", file, str(answers), *options], capture_output=True, text=True, check=True
    )
    theirs = json.loads(scored.stdout)
    own = figures(task.asked, found)

    assert theirs["queries"] == len(task.asked)
    assert [theirs["macro"]["mrr"], *(theirs["macro"][f"r@{cut}"] for cut in (1, 10, 50)), theirs["micro"]["mrr"]] == (
        pytest.approx([own.mrr, *own.recall, own.micro_mrr], abs=6e-5)
    )
