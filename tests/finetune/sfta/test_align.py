from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch.nn import functional
from transformers import AutoModelForCausalLM, AutoTokenizer

from finetune.sfta.align import AlignSettings, align
from finetune.sfta.attention import attend_in_float32
from finetune.sfta.logs import LogRow, read_log
from finetune.sfta.rankings import Ranking, preference_pairs, read_rankings
from finetune.sfta.rrhf_trainer import collate, response_logprobs
from finetune.sfta.runs import LoraSettings
from tests.finetune.sfta.tiny_planner import ranking_rows, write_jsonl
from tool_specs.exceptions import ConfigError


@pytest.fixture(scope="module")
def data(planner: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_jsonl(tmp_path_factory.mktemp("data") / "ranked.jsonl", ranking_rows(planner, 30))


@pytest.fixture
def settings(planner: Path, data: Path, tmp_path: Path) -> Callable[..., AlignSettings]:
    def make(**others: object) -> AlignSettings:
        given = {
            "model": str(planner), "data": data, "out": tmp_path / "run", "max_steps": 12, "learning_rate": 2e-3,
            "batch_size": 6, "log_steps": 1, "save_steps": 100, "eval_steps": 6, "bf16": False,
        }  # fmt: skip
        return AlignSettings.model_validate({**given, **others})

    return make


def rankings(path: Path, planner: Path, **options: int) -> list[Ranking]:
    return read_rankings(path, AutoTokenizer.from_pretrained(planner), 1024, **options)


def agreement(folder: Path, ranked: list[Ranking]) -> float:
    """Share of the pairs whose better response is the likelier, by the mean of its tokens."""
    model = AutoModelForCausalLM.from_pretrained(folder).eval()
    with torch.no_grad():
        sums, lengths = response_logprobs(model, collate(ranked, 0))
    scores = sums / lengths.clamp(min=1)
    right = [
        bool(scores[row, better] > scores[row, worse])
        for row, one in enumerate(ranked)
        for better in range(len(one.responses))
        for worse in range(len(one.responses))
        if one.rewards[better] > one.rewards[worse]
    ]
    return sum(right) / len(right)


@pytest.mark.parametrize("attention", ["sdpa", "float32"])
def test_shared_prompt_gives_the_log_probabilities_of_each_response_by_itself(
    planner: Path, data: Path, attention: str
) -> None:
    model = AutoModelForCausalLM.from_pretrained(planner).eval()
    if attention == "float32":
        attend_in_float32(model)
    ranked = rankings(data, planner)[:7]

    with torch.no_grad():
        sums, lengths = response_logprobs(model, collate(ranked, pad_token=0))
        for row, one in enumerate(ranked):
            for place, response in enumerate(one.responses):
                logits = model(torch.tensor([one.prompt + response])).logits[0, len(one.prompt) - 1 : -1]
                alone = -functional.cross_entropy(logits, torch.tensor(response), reduction="sum")
                assert sums[row, place].item() == pytest.approx(alone.item(), rel=1e-5)
                assert lengths[row, place] == len(response)
            assert (lengths[row, len(one.responses) :] == 0).all()


def test_rrhf_ranks_responses_as_their_rewards_do(
    planner: Path, data: Path, settings: Callable[..., AlignSettings]
) -> None:
    given = settings(max_steps=24, eval_data=data, rank_weight=3.0)

    folder = align(given)

    log: list[LogRow] = read_log(given.out / "log.jsonl")
    extra = [row.model_extra or {} for row in log if row.loss is not None]
    assert all({"ranking", "likelihood"} <= numbers.keys() for numbers in extra)
    assert extra[-1]["ranking"] < extra[0]["ranking"]
    assert extra[-1]["likelihood"] < extra[0]["likelihood"]
    evaluated = [row.model_extra or {} for row in log if row.eval_loss is not None]
    assert len(evaluated) == 4
    assert "eval_ranking" in evaluated[0]
    ranked = rankings(data, planner)
    assert agreement(folder, ranked) > max(0.9, agreement(planner, ranked))
    assert "method: rrhf" in (folder / "README.md").read_text(encoding="utf-8")


def test_dpo_prefers_the_better_of_a_pair(planner: Path, data: Path, settings: Callable[..., AlignSettings]) -> None:
    given = settings(method="dpo", max_steps=16, batch_size=4)

    folder = align(given)

    log = read_log(given.out / "log.jsonl")
    margins = [(row.model_extra or {})["rewards/margins"] for row in log if row.loss is not None]
    assert margins[0] == pytest.approx(0.0, abs=1e-4)
    assert margins[-1] > 0.1
    ranked = rankings(data, planner)
    assert agreement(folder, ranked) > agreement(planner, ranked)


@pytest.mark.parametrize("method", ["rrhf", "dpo"])
def test_both_train_adapters_as_the_shipped_settings_do(settings: Callable[..., AlignSettings], method: str) -> None:
    given = settings(
        method=method,
        lora=LoraSettings(rank=4),
        bf16=True,
        gradient_checkpointing=True,
        max_steps=30,
        learning_rate=3e-2,
    )

    folder = align(given)

    assert (folder / "adapter_model.safetensors").exists()
    first, *_, last = read_log(given.out / "log.jsonl")
    assert first.loss is not None
    assert last.loss is not None
    assert last.loss < 0.95 * first.loss


def test_best_worst_and_those_between_are_taken_of_many(planner: Path, tmp_path: Path) -> None:
    rewards = [0.1, 0.9, 0.5, 0.3, 0.7]
    row = {"id": "1", "prompt": "p", "responses": ["a", "b", "c", "d", "e"], "rewards": rewards}
    data = write_jsonl(tmp_path / "many.jsonl", [row])

    (all_of_them,) = rankings(data, planner)
    (three,) = rankings(data, planner, max_responses=3)

    assert all_of_them.rewards == sorted(rewards, reverse=True)
    assert three.rewards == [0.9, 0.5, 0.1]
    assert three.responses == [AutoTokenizer.from_pretrained(planner)(text).input_ids for text in "bca"]


def test_pairs_are_best_with_worst_and_each_with_the_next() -> None:
    ranking = Ranking([1], [[2], [3], [4], [5]], [0.9, 0.5, 0.5, 0.1])

    assert preference_pairs([ranking], 0.0) == [([1], [2], [5]), ([1], [2], [3]), ([1], [4], [5])]
    assert preference_pairs([ranking], 0.4) == [([1], [2], [5])]
    assert preference_pairs([Ranking([1], [[2], [3]], [1.0, 0.0])], 0.0) == [([1], [2], [3])]
    assert preference_pairs([Ranking([1], [[2]], [1.0])], 0.0) == []


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ({"id": "1", "prompt": "p", "responses": ["a", "b"], "rewards": [1.0]}, "2 responses but 1 rewards"),
        ({"id": "1", "prompt": "p", "responses": ["a", "b"], "rewards": [1.0, float("nan")]}, "finite number"),
        ({"id": "1", "prompt": "p", "responses": [], "rewards": []}, "line 1"),
        ({"id": "1", "prompt": "p", "responses": ["a", ""], "rewards": [1.0, 2.0]}, "is empty"),
        ({"id": "1", "prompt": "p", "responses": ["a", "b"], "rewards": [1.0, 1.0]}, "nothing to rank"),
    ],
)
def test_bad_rankings_are_refused(
    settings: Callable[..., AlignSettings], tmp_path: Path, row: dict[str, object], said: str
) -> None:
    with pytest.raises(ConfigError, match=said):
        align(settings(data=write_jsonl(tmp_path / "bad.jsonl", [row])))


def test_adapter_is_to_be_merged_before_alignment(settings: Callable[..., AlignSettings], tmp_path: Path) -> None:
    adapter = align(settings(lora=LoraSettings(rank=4), max_steps=1))

    with pytest.raises(ConfigError, match="holds an adapter; merge it first: diffagent-train export"):
        align(settings(model=str(adapter), out=tmp_path / "second"))


@pytest.mark.parametrize("method", ["rrhf", "dpo"])
def test_interrupted_alignment_goes_on(settings: Callable[..., AlignSettings], tmp_path: Path, method: str) -> None:
    whole, stopped = (settings(method=method, max_steps=10, out=tmp_path / name) for name in ("whole", "stopped"))
    align(whole)
    log = stopped.out / "log.jsonl"

    def interrupt() -> None:
        while not log.exists() or len(log.read_text(encoding="utf-8").splitlines()) < 3:
            time.sleep(0.01)
        os.kill(os.getpid(), signal.SIGINT)

    threading.Thread(target=interrupt).start()
    with pytest.raises(KeyboardInterrupt):
        align(stopped)
    assert 3 <= read_log(log)[-1].step < 10
    align(stopped)

    expected, found = ([row.loss for row in read_log(given.out / "log.jsonl")] for given in (whole, stopped))
    assert found == pytest.approx(expected, rel=1e-3)
