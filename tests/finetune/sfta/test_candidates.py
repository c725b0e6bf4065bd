from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from langchain_core.callbacks import CallbackManagerForLLMRun
from langchain_core.messages import AIMessage, BaseMessage
from langchain_core.outputs import ChatGeneration, ChatResult

from diffagent_tools.chat_models.local import LocalChatDiffAgent
from diffagent_tools.chat_models.retrieval import RetrievalChatModel
from diffagent_tools.chat_models.tool_choice import ToolCaller
from finetune.dabench.pairs import Pair
from finetune.pocket.planner.dataset import pocket_pairs
from finetune.pocket.planner.worlds import pocket_world
from finetune.sfta.candidates import Candidate, Variety, arguments_of, candidates
from tests.graphs.paper_world import WordEmbedder
from tool_specs.calls import Call, parse_call
from tool_specs.search.shortlist import Shortlister

TUNABLE = ("cfg_scale", "steps", "sampler", "loras")


class Steady(ToolCaller):
    """Always calls the first tool, or the chosen one, with one network; or always declines."""

    declines: bool = False

    @property
    def _llm_type(self) -> str:
        return "steady"

    def _generate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        if self.declines:
            return ChatResult(generations=[ChatGeneration(message=AIMessage("No."))])
        function = kwargs["tools"][0]["function"]
        (network, *_) = function["parameters"]["properties"]["loras"]["items"]["properties"]["id"]["enum"]
        arguments = {
            "prompt": "a cat", "negative_prompt": "", "sampler": "Euler", "steps": 90, "cfg_scale": 1.5, "width": 64,
            "height": 64, "clip_skip": 1, "seed": 5, "loras": [{"id": network, "weight": 1.9}],
        }  # fmt: skip
        name = kwargs.get("tool_choice") or function["name"]
        call = {"name": name, "args": arguments, "id": "1", "type": "tool_call"}
        return ChatResult(generations=[ChatGeneration(message=AIMessage("", tool_calls=[call]))])


@pytest.fixture(scope="module")
def shortlister() -> Shortlister:
    return Shortlister(pocket_world().catalog, WordEmbedder())


@pytest.fixture(scope="module")
def pairs() -> list[Pair]:
    return pocket_pairs(pocket_world(), {"train": 12})


@pytest.fixture(scope="module")
def untaught(tiny_planner: Path) -> LocalChatDiffAgent:
    return LocalChatDiffAgent(folder=tiny_planner, device="cpu")


def found(
    planner: ToolCaller, pair: Pair, shortlister: Shortlister, *, gold: Mapping[str, Any] | None = None, seed: int = 1,
    sampled: int = 2, perturbed: int = 2,
) -> list[Candidate]:  # fmt: skip
    retrieval = RetrievalChatModel(catalog=shortlister.catalog, shortlister=shortlister)
    return candidates(
        planner, retrieval, pair.instruction, shortlister.shortlist(pair.instruction), np.random.default_rng(seed),
        gold=pair.call if gold is None else gold, variety=Variety(sampled, perturbed, 1.0),
    )  # fmt: skip


def calls_of(made: list[Candidate]) -> list[Call]:
    return [one.reading.call.model_copy(update={"seed": None}) for one in made if one.reading.call]


def test_each_call_comes_once_the_gold_one_first_and_the_refusal_last(
    untaught: LocalChatDiffAgent, pairs: list[Pair], shortlister: Shortlister
) -> None:
    for pair in pairs:
        made = found(untaught, pair, shortlister)
        calls = calls_of(made)
        assert len({call.model_dump_json() for call in calls}) == len(calls) == len(made) - 1
        assert [one.reading.declined for one in made] == [False] * len(calls) + [True]
        assert all(one.reading.problem is None for one in made)
        sources = [one.source for one in made]
        assert (sources[0] == "gold") is (pair.call is not None)
        assert sources.count("gold") + sources.count("greedy") + sources.count("other model") <= 3
        assert sources[-1] == "refusal"
        if pair.call is not None:
            assert calls[0] == parse_call(pair.call)


def test_a_seed_repeats(untaught: LocalChatDiffAgent, pairs: list[Pair], shortlister: Shortlister) -> None:
    first = found(untaught, pairs[0], shortlister)
    assert calls_of(found(untaught, pairs[0], shortlister)) == calls_of(first)
    assert calls_of(found(untaught, pairs[0], shortlister, seed=2)) != calls_of(first)


def test_parameters_are_tried_around_the_planners_own_call(pairs: list[Pair], shortlister: Shortlister) -> None:
    made = found(Steady(), pairs[0], shortlister, sampled=1, perturbed=40)
    by_source: dict[str, list[Call]] = {}
    for one in made:
        if one.reading.call is not None:
            by_source.setdefault(one.source, []).append(one.reading.call)
    assert set(by_source) == {"gold", "greedy", "retrieval", "other model", "recommended", "perturbed"}
    (own,), (recommended,), (other,) = (by_source[name] for name in ("greedy", "recommended", "other model"))
    assert (recommended.sampler, recommended.steps, recommended.cfg_scale) == ("DPM++ 2M Karras", 20, 3.0)
    assert (recommended.prompt, recommended.checkpoint) == (own.prompt, own.checkpoint)
    assert other.checkpoint != own.checkpoint
    changed = [
        {name for name in TUNABLE if getattr(call, name) != getattr(own, name)} for call in by_source["perturbed"]
    ]
    assert max(map(len, changed)) == 2
    assert set().union(*changed) == set(TUNABLE)
    for call in by_source["perturbed"]:
        kept = set(Call.model_fields) - {*TUNABLE, "seed"}
        assert all(getattr(call, name) == getattr(own, name) for name in kept)
        assert call.steps <= 100
        assert call.cfg_scale >= 1.0
        assert all(-2 <= use.weight <= 2 for use in call.loras)


def test_a_planner_that_declines_leaves_the_calls_of_others(pairs: list[Pair], shortlister: Shortlister) -> None:
    pair = next(pair for pair in pairs if pair.call is not None)
    assert [one.source for one in found(Steady(declines=True), pair, shortlister)] == ["gold", "retrieval", "refusal"]


def test_a_gold_model_that_is_not_on_offer_is_no_candidate(pairs: list[Pair], shortlister: Shortlister) -> None:
    gold = {**next(pair for pair in pairs if pair.call is not None).call, "checkpoint": "civitai:1@1"}  # type: ignore[dict-item]
    assert "gold" not in [one.source for one in found(Steady(), pairs[0], shortlister, gold=gold)]
    network = {**gold, "checkpoint": "civitai:9001@9101", "loras": [{"id": "civitai:1@1", "weight": 1.0}]}
    assert "gold" not in [one.source for one in found(Steady(), pairs[0], shortlister, gold=network)]


def test_arguments_stand_for_a_call(pairs: list[Pair]) -> None:
    call = next(pair.call for pair in pairs if pair.call is not None)
    arguments = arguments_of({**call, "seed": 7})
    assert arguments["seed"] is None
    assert {*arguments, "family", "checkpoint"} == set(call)
