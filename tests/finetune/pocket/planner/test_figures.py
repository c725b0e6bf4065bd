from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from diffagent_tools.embeddings import MiniLMEmbedder
from finetune.dabench.bootstrap import Interval
from finetune.dabench.evaluation import FILE_NAME, evaluate
from finetune.dabench.pairs import write_pairs
from finetune.dabench.planners import Source, planners_of
from finetune.dabench.results import Result
from finetune.json_lines import JsonLines
from finetune.pocket.planner.dataset import pocket_pairs
from finetune.pocket.planner.figures import read_figures, write_figures
from finetune.pocket.planner.newcomers import Choice
from finetune.pocket.planner.worlds import pocket_world
from tool_specs.search.shortlist import Shortlister

WEIGHTS = b"weights"


def test_what_was_found_lies_beside_the_weights(tmp_path: Path) -> None:
    world, dataset, results, planner = pocket_world(), tmp_path / "data", tmp_path / "results", tmp_path / "planner"
    pairs = pocket_pairs(world, {"test": 12})
    write_pairs(dataset, pairs, card="# Pairs")
    shortlister = Shortlister(world.catalog, MiniLMEmbedder())
    evaluate(pairs[:8], planners_of(["retrieval", "random"], Source(shortlister, dataset)), shortlister, results)
    lines = JsonLines(results / FILE_NAME, Result)
    drawable = [pair for pair in pairs[:8] if pair.call is not None]
    for row in lines.read():
        # A later row about a question stands in place of the earlier one.
        lines.append(row.model_copy(update={"reward": 0.75 if row.planner == "retrieval" else 0.5}))
    planner.mkdir()
    (planner / "model.safetensors").write_bytes(WEIGHTS)
    choice = Choice(Interval(0.9, 0.8, 1.0, 5), Interval(0.8, 0.7, 0.9, 5))
    compare = ["retrieval,random", "rrhf,random"]
    write_figures(planner, dataset, {"test": results}, {"rrhf": {"lora": choice}}, compare=compare)
    found = read_figures(planner)
    assert found.weights.lower() == hashlib.sha256(WEIGHTS).hexdigest()
    split = found.splits["test"]
    assert (split.pairs, split.drawable) == (8, len(drawable))
    assert split.planners["retrieval"]["reward"].mean == pytest.approx(0.75)
    assert split.planners["retrieval"]["reward"].n == len(drawable)
    assert split.planners["random"]["checkpoint"].n == len(drawable)
    assert {*split.differences} == {"retrieval,random"}
    assert split.differences["retrieval,random"].low == pytest.approx(0.25)
    assert (split.seconds["retrieval"]["p95"] or 0) >= (split.seconds["retrieval"]["p50"] or 1)
    assert found.newcomers["rrhf"]["lora"]["new"].mean == pytest.approx(0.8)


def test_without_pictures_there_is_no_reward(tmp_path: Path) -> None:
    world, dataset, results, planner = pocket_world(), tmp_path / "data", tmp_path / "results", tmp_path / "planner"
    pairs = pocket_pairs(world, {"test": 3})
    write_pairs(dataset, pairs, card="# Pairs")
    shortlister = Shortlister(world.catalog, MiniLMEmbedder())
    evaluate(pairs, planners_of(["random"], Source(shortlister, dataset)), shortlister, results)
    planner.mkdir()
    (planner / "model.safetensors").write_bytes(WEIGHTS)
    write_figures(planner, dataset, {"test": results}, {}, compare=[])
    reward = read_figures(planner).splits["test"].planners["random"]["reward"]
    assert (reward.mean, reward.low, reward.n) == (None, None, 0)
