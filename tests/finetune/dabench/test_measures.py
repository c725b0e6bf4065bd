from __future__ import annotations

import io
import math
from pathlib import Path

import pytest
from rich.console import Console

from finetune.dabench.drawing import Studio
from finetune.dabench.evaluation import Planner, evaluate
from finetune.dabench.measures import MEASURES, Case, cases, values
from finetune.dabench.results import Result
from tests.finetune.dabench.paper_pairs import paper_pairs
from tests.finetune.dabench.rows import GOLD, called, pair, row
from tests.finetune.dabench.scripted import Scripted, calling
from tests.graphs.paper_world import ANIMALS, CATALOG, BrightnessReward, PaperBackend
from tool_specs.search.shortlist import Shortlister


def case(result: Result, *, possible: bool = True) -> Case:
    return cases([pair("a", possible=possible)], [result])[0]


def measured(result: Result, *, possible: bool = True) -> dict[str, float | None]:
    one = case(result, possible=possible)
    return {name: measure(one) for name, measure in MEASURES.items()}


def test_the_gold_call_is_right_in_everything() -> None:
    found = measured(called("a", reward=0.7, drawn=True, input_tokens=300, output_tokens=40))
    right = ("checkpoint", "checkpoint_offered", "loras_exact", "loras_f1", "loras_offered", "loras_f1_offered",
             "sampler", "steps", "cfg_scale", "size", "weight", "agreement")  # fmt: skip
    assert {name: found[name] for name in right} == dict.fromkeys(right, 1.0)
    assert (found["invented"], found["invalid"], found["faulty"]) == (0.0, 0.0, 0.0)
    assert (found["reward"], found["reward_drawn"]) == (0.7, 0.7)
    assert (found["input_tokens"], found["output_tokens"], found["seconds"]) == (300.0, 40.0, 0.5)
    assert found["decline_precision"] is found["decline_recall"] is None


def test_another_version_of_the_gold_model_is_the_gold_model() -> None:
    networks = [{"id": "civitai:7@71", "weight": 1.0}]
    found = measured(called("a", changes={"checkpoint": "civitai:1@99", "loras": networks}))
    assert (found["checkpoint"], found["loras_exact"], found["weight"]) == (1.0, 1.0, 0.0)


def test_declining_what_can_be_drawn_is_wrong_and_worth_nothing() -> None:
    found = measured(row("a", reward=0.0))
    assert (found["decline_precision"], found["decline_recall"]) == (0.0, None)
    assert (found["checkpoint"], found["loras_exact"], found["loras_f1"]) == (0.0, 0.0, 0.0)
    assert (found["reward"], found["reward_drawn"]) == (0.0, None)
    assert found["agreement"] is found["invented"] is found["invalid"] is None


def test_declining_what_cannot_be_drawn_is_right() -> None:
    found = measured(row("a", fits=False), possible=False)
    assert (found["decline_precision"], found["decline_recall"]) == (1.0, 1.0)
    assert found["reward"] is found["checkpoint"] is found["loras_exact"] is found["checkpoint_offered"] is None


def test_calling_for_what_cannot_be_drawn_is_wrong() -> None:
    found = measured(called("a"), possible=False)
    assert (found["decline_precision"], found["decline_recall"]) == (None, 0.0)
    assert found["agreement"] is None
    assert found["invalid"] == 0.0


def test_an_invalid_call_is_right_in_nothing() -> None:
    found = measured(row("a", declined=False, tool="t", model="civitai:1@10", invented=("t",), problem="p", reward=0.0))
    assert (found["invented"], found["invalid"]) == (1.0, 1.0)
    assert (found["checkpoint"], found["loras_exact"], found["loras_f1"], found["reward"]) == (0.0, 0.0, 0.0, 0.0)
    assert found["agreement"] is found["faulty"] is None


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"steps": 24}, {"steps": 1.0, "agreement": 1.0}),
        ({"steps": 25}, {"steps": 0.0, "agreement": 0.8}),
        ({"steps": 16}, {"steps": 1.0}),
        ({"steps": 15}, {"steps": 0.0}),
        ({"cfg_scale": 8.0}, {"cfg_scale": 1.0}),
        ({"cfg_scale": 8.1}, {"cfg_scale": 0.0}),
        ({"sampler": "Euler", "width": 768, "height": 512}, {"sampler": 0.0, "size": 0.0, "agreement": 0.6}),
        ({"loras": [{"id": "civitai:7@70", "weight": 0.9}]}, {"weight": 1.0, "agreement": 1.0}),
        ({"loras": [{"id": "civitai:7@70", "weight": 0.95}]}, {"weight": 0.0, "agreement": 0.8}),
        ({"loras": [], "steps": 99}, {"weight": None, "agreement": 0.75, "loras_f1": 0.0, "loras_exact": 0.0}),
        (
            {"loras": [{"id": "civitai:7@70", "weight": 0.8}, {"id": "civitai:8@80"}]},
            {"weight": 1.0, "loras_exact": 0.0, "loras_f1": 2 / 3},
        ),
    ],
)
def test_parameters_by_hand(changes: dict, expected: dict[str, float | None]) -> None:
    found = measured(called("a", changes=changes))
    assert {name: found[name] for name in expected} == pytest.approx(expected)


def test_the_shortlist_bounds_what_can_be_right() -> None:
    found = measured(called("a", offered=("civitai:2@20",), networks=()))
    assert (found["checkpoint_offered"], found["loras_offered"], found["loras_f1_offered"]) == (0.0, 0.0, 0.0)


def test_no_networks_where_none_are_right_is_a_match() -> None:
    plain = pair("a", call={**GOLD, "loras": []})
    (one,) = cases([plain], [called("a", changes={"loras": []})])
    assert (MEASURES["loras_exact"](one), MEASURES["loras_f1"](one), MEASURES["weight"](one)) == (1.0, 1.0, None)


def test_a_faulty_picture_counts_as_none() -> None:
    found = measured(called("a", reward=0.0, drawn=False, fault="the picture is black"))
    assert (found["faulty"], found["reward"], found["reward_drawn"]) == (1.0, 0.0, None)
    assert measured(called("a"))["faulty"] is None


def test_of_several_pictures_those_with_a_fault_count_as_0(paper_shortlister: Shortlister, tmp_path: Path) -> None:
    def measured_with(*levels: float) -> dict[str, float | None]:
        folder = tmp_path / str(len(levels))
        folder.mkdir()
        backend = PaperBackend(folder / "log", levels=levels)
        planner = Planner("p", Scripted(answers=[calling(CATALOG.get(ANIMALS).tool_name)]))
        fox = paper_pairs()[:1]
        studio = Studio(backend, BrightnessReward(), folder)
        quiet = Console(file=io.StringIO())
        rows = evaluate(fox, [planner], paper_shortlister, folder, studio=studio, pictures=len(levels), console=quiet)
        (case,) = cases(fox, rows)
        return {name: MEASURES[name](case) for name in ("reward", "reward_drawn", "faulty")}

    black = -1.0
    found = measured_with(0.8, 0.8, 0.8, black)
    assert found == pytest.approx({"reward": 0.6, "reward_drawn": 0.6, "faulty": 0.0}, abs=0.01)
    assert measured_with(black, black) == {"reward": 0.0, "reward_drawn": None, "faulty": 1.0}


def test_values_stand_in_the_order_of_the_pairs() -> None:
    pairs = [pair("a"), pair("b"), pair("c", possible=False)]
    table = values(cases(pairs, [row("c"), called("a"), row("b")]), ["checkpoint", "decline_precision"])
    assert table[:, 0].tolist()[:2] == [1.0, 0.0]
    assert math.isnan(table[2, 0])
    assert table[1:, 1].tolist() == [0.0, 1.0]
    assert math.isnan(table[0, 1])
