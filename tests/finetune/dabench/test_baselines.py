from __future__ import annotations

from typing import Any

import pytest
from langchain_core.language_models import BaseChatModel
from langchain_tests.unit_tests import ChatModelUnitTests

from diffagent_tools.chat_models.picker import ToolPicker
from diffagent_tools.planning import Reading, read_answer
from diffagent_tools.tools.generation import tool_schemas
from finetune.dabench.baselines import NearestPromptPlanner, PopularityPlanner, RandomPlanner
from finetune.dabench.pairs import Pair
from tests.finetune.dabench.paper_pairs import GOLD, paper_pairs
from tests.graphs.paper_world import ANIMALS, CATALOG, FOOD, PIXEL, WATERCOLOR, WordEmbedder
from tool_specs.calls import Call
from tool_specs.search.shortlist import Shortlister


class TestStandard(ChatModelUnitTests):
    """LangChain's own suite."""

    @property
    def chat_model_class(self) -> type[BaseChatModel]:
        return RandomPlanner

    @property
    def chat_model_params(self) -> dict[str, Any]:
        return {"catalog": CATALOG, "shortlister": Shortlister(CATALOG, WordEmbedder())}

    @property
    def has_structured_output(self) -> bool:
        return False


def reading(planner: ToolPicker, request: str, *, k: int = 8) -> Reading:
    """What a planner makes of a request."""
    shortlist = planner.shortlister.shortlist(request, k=k)
    return read_answer(planner.bind_tools(tool_schemas(shortlist)).invoke(request), shortlist)


def call(planner: ToolPicker, request: str, *, k: int = 8) -> Call:
    """Its valid call."""
    found = reading(planner, request, k=k)
    assert found.problem is None
    assert found.call is not None
    return found.call


def pairs(*calls: dict | None) -> list[Pair]:
    texts = ("a fox in the snow", "a cake with candles", "a dog on a hill", "the meaning of tax law", "a cat asleep")
    return [Pair(id=f"train-{n}", instruction=texts[n], call=one, split="train") for n, one in enumerate(calls)]


def gold(checkpoint: str, *networks: str, **changes: object) -> dict:
    return {**GOLD, "checkpoint": checkpoint, "loras": [{"id": one, "weight": 0.6} for one in networks], **changes}


def test_random_calls_are_valid_varied_and_repeatable(paper_shortlister: Shortlister) -> None:
    planner = RandomPlanner(catalog=CATALOG, shortlister=paper_shortlister)
    requests = [f"a fox number {n}" for n in range(60)]
    calls = [call(planner, request) for request in requests]
    assert {one.checkpoint for one in calls} == {ANIMALS, FOOD}
    assert {len(one.loras) for one in calls} == {0, 1, 2}
    assert len({one.sampler for one in calls}) == 9
    assert len({one.steps for one in calls}) > 30
    assert [call(planner, request) for request in requests[:5]] == calls[:5]
    other = RandomPlanner(catalog=CATALOG, shortlister=paper_shortlister, seed=1)
    assert [call(other, request) for request in requests[:5]] != calls[:5]


def test_the_most_used_model_on_offer_is_called(paper_shortlister: Shortlister) -> None:
    trained = pairs(gold(FOOD, PIXEL), gold(ANIMALS), gold(FOOD, PIXEL), None, gold(FOOD))
    planner = PopularityPlanner(catalog=CATALOG, shortlister=paper_shortlister, pairs=trained)
    found = call(planner, "a fox")
    assert found.checkpoint == FOOD
    assert [use.id for use in found.loras] == [PIXEL]
    assert found.prompt.endswith("pixel art")
    assert found.steps == CATALOG.get(FOOD).recommended.steps.median
    assert call(planner, "a fox", k=1).checkpoint == ANIMALS


def test_without_training_pairs_the_first_tool_is_called(paper_shortlister: Shortlister) -> None:
    planner = PopularityPlanner(catalog=CATALOG, shortlister=paper_shortlister, pairs=[])
    found = call(planner, "a pizza")
    assert (found.checkpoint, found.loras) == (FOOD, ())


def test_the_nearest_training_call_is_copied_but_for_its_prompt(paper_shortlister: Shortlister) -> None:
    trained = pairs(gold(ANIMALS, WATERCOLOR, steps=9, sampler="DDIM", prompt="a wolf"), gold(FOOD), None)
    planner = NearestPromptPlanner(catalog=CATALOG, shortlister=paper_shortlister, pairs=trained)
    found = call(planner, "fox, snow")
    assert (found.checkpoint, found.steps, found.sampler) == (ANIMALS, 9, "DDIM")
    assert [(use.id, use.weight) for use in found.loras] == [(WATERCOLOR, 0.6)]
    assert "wolf" not in found.prompt
    assert "fox" in found.prompt
    assert call(planner, "cake and candles").checkpoint == FOOD


def test_training_pairs_whose_model_is_not_on_offer_are_passed_over(paper_shortlister: Shortlister) -> None:
    trained = pairs(gold("civitai:1@1"), gold(FOOD), gold(ANIMALS, "civitai:2@2"))
    planner = NearestPromptPlanner(catalog=CATALOG, shortlister=paper_shortlister, pairs=trained)
    found = call(planner, "a fox in the snow on a hill")
    assert (found.checkpoint, found.loras) == (ANIMALS, ())


@pytest.mark.parametrize("request_text", ["the meaning of tax law", "xyzzy"])
def test_it_declines_what_was_declined_and_what_is_near_to_nothing(
    paper_shortlister: Shortlister, request_text: str
) -> None:
    trained = pairs(gold(ANIMALS), gold(FOOD), gold(ANIMALS), None)
    planner = NearestPromptPlanner(catalog=CATALOG, shortlister=paper_shortlister, pairs=trained)
    assert reading(planner, request_text).declined
    assert reading(NearestPromptPlanner(catalog=CATALOG, shortlister=paper_shortlister, pairs=[]), "a fox").declined


def test_with_nothing_on_offer_all_decline(paper_shortlister: Shortlister) -> None:
    parts: dict[str, Any] = {"catalog": CATALOG, "shortlister": paper_shortlister}
    trained = [kind(**parts, pairs=paper_pairs()) for kind in (PopularityPlanner, NearestPromptPlanner)]
    for planner in (RandomPlanner(**parts), *trained):
        assert planner.bind_tools([]).invoke("a fox").tool_calls == []
