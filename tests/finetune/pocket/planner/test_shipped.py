"""What the shipped planner can do, on a few requests in words that it never saw; docs/sfta.md has it on many."""

from __future__ import annotations

from math import prod
from pathlib import Path

import pytest
from safetensors import safe_open

from diffagent_tools.embeddings import MiniLMEmbedder
from finetune.dabench.evaluation import evaluate
from finetune.dabench.planners import Source, planners_of
from finetune.dabench.summary import Summary, summarise
from finetune.pocket.planner.dataset import pocket_pairs
from finetune.pocket.planner.figures import Figures, read_figures
from finetune.pocket.planner.newcomers import choices
from finetune.pocket.planner.worlds import pocket_world
from tool_specs.pocket import pocket_planner
from tool_specs.search.shortlist import Shortlister
from tool_specs.weight_files import sha256_of

MAX_PARAMETERS, MAX_BYTES = 12_000_000, 24_000_000
ASKED = 120
MAX_SECONDS = 0.7


def test_it_is_small() -> None:
    assert sum(path.stat().st_size for path in pocket_planner().iterdir()) <= MAX_BYTES
    with safe_open(pocket_planner() / "model.safetensors", "numpy") as weights:
        shapes = [weights.get_slice(name).get_shape() for name in weights.keys()]  # noqa: SIM118
    assert sum(map(prod, shapes)) <= MAX_PARAMETERS


@pytest.fixture(scope="module")
def summary(tmp_path_factory: pytest.TempPathFactory) -> Summary:
    folder = tmp_path_factory.mktemp("asked")
    world = pocket_world()
    pairs = pocket_pairs(world, {"requests": ASKED}, seed=77)
    shortlister = Shortlister(world.catalog, MiniLMEmbedder())
    planners = planners_of([f"pocket=local:{pocket_planner()}", "random"], Source(shortlister, folder))
    (found,) = summarise(pairs, evaluate(pairs, planners, shortlister, folder))
    return found


@pytest.mark.slow
class TestOnUnseenWordings:
    def test_every_call_is_valid_and_names_only_what_there_is(self, summary: Summary) -> None:
        found = summary.intervals["pocket"]
        assert (found["invented"].mean, found["invalid"].mean) == (0.0, 0.0)

    def test_it_chooses_the_right_models(self, summary: Summary) -> None:
        found, by_chance = summary.intervals["pocket"], summary.intervals["random"]
        assert found["checkpoint"].mean > max(0.8, 2 * by_chance["checkpoint"].mean)
        assert found["loras_exact"].mean > 0.7

    def test_it_declines_what_nothing_draws(self, summary: Summary) -> None:
        found = summary.intervals["pocket"]
        assert found["decline_precision"].mean > 0.6
        assert found["decline_recall"].mean > 0.6


@pytest.mark.slow
def test_models_that_came_after_training_are_chosen_too(tmp_path: Path) -> None:
    found = choices(tmp_path, [("pocket", pocket_planner())], 40)["pocket"]
    assert {kind: choice.ratio > 0.7 for kind, choice in found.items()} == {"checkpoint": True, "lora": True}


class TestWhatItsEvaluationFound:
    """The figures beside the weights, which `docs/sfta.md` shows."""

    @pytest.fixture(scope="class")
    def figures(self) -> Figures:
        return read_figures(pocket_planner())

    def test_it_is_about_these_weights(self, figures: Figures) -> None:
        assert figures.weights == sha256_of(pocket_planner() / "model.safetensors")

    @pytest.mark.parametrize("split", ["test", "unseen_styles"])
    @pytest.mark.parametrize("compared", ["rrhf,sft", "rrhf,retrieval", "sft,retrieval", "sft,random"])
    def test_each_stage_is_better_than_the_one_before(self, figures: Figures, split: str, compared: str) -> None:
        found = figures.splits[split].differences[compared]
        assert found.n >= 300
        assert found.low is not None
        assert found.low > 0

    @pytest.mark.parametrize("split", ["test", "unseen_styles", "requests"])
    def test_it_answers_in_time(self, figures: Figures, split: str) -> None:
        slow = figures.splits[split].seconds["rrhf"]["p95"]
        assert slow is not None
        assert slow <= MAX_SECONDS

    def test_nothing_is_invented(self, figures: Figures) -> None:
        found = figures.splits["requests"]
        assert found.pairs >= 2000
        assert (found.planners["rrhf"]["invented"].mean, found.planners["rrhf"]["invalid"].mean) == (0.0, 0.0)

    @pytest.mark.parametrize("measure", ["decline_precision", "decline_recall"])
    def test_it_declines_what_cannot_be_drawn(self, figures: Figures, measure: str) -> None:
        found = figures.splits["requests"].planners["rrhf"][measure].mean
        assert found is not None
        assert found >= 0.9

    @pytest.mark.parametrize("kind", ["checkpoint", "lora"])
    def test_models_that_came_after_training_are_chosen(self, figures: Figures, kind: str) -> None:
        trained, new = (figures.newcomers["rrhf"][kind][which].mean for which in ("trained", "new"))
        assert trained is not None
        assert new is not None
        assert new >= 0.8 * trained
