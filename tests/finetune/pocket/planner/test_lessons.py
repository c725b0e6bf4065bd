from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest

from diffagent_tools.planning import REFUSAL
from diffagent_tools.tools.generation import offered
from finetune.pocket.planner.community import community_arguments
from finetune.pocket.planner.lessons import (
    GOLD_ABSENT,
    IMPOSSIBLE,
    RETRIES,
    WORLDS,
    Lesson,
    lesson_sample,
    lessons,
    without_parameters,
)
from finetune.pocket.planner.requests import Wanted, held_out_phrase, held_out_style
from finetune.pocket.planner.words import UNKNOWN
from finetune.pocket.planner.worlds import World, made_up_world, mixed_world, pocket_world
from finetune.pocket.world import all_subjects
from finetune.sfta.samples import Sample
from tests.graphs.paper_world import WordEmbedder
from tool_specs.calls import to_call
from tool_specs.compatibility import compatible
from tool_specs.families import FAMILIES
from tool_specs.search.shortlist import Shortlister

COUNT = 120


def taught(world: World, seed: int = 1) -> list[tuple[Lesson, Sample]]:
    rng = np.random.default_rng(seed)
    found = lessons(world, Shortlister(world.catalog, WordEmbedder()), rng, COUNT)
    return [(lesson, lesson_sample(str(n), world, lesson, rng)) for n, lesson in enumerate(found)]


def called(answer: Mapping[str, Any]) -> tuple[str, dict[str, Any]] | None:
    if not answer.get("tool_calls"):
        assert answer["content"] == REFUSAL
        return None
    (call,) = answer["tool_calls"]
    return call["function"]["name"], json.loads(call["function"]["arguments"])


@pytest.fixture(scope="module", params=WORLDS)
def world(request: pytest.FixtureRequest) -> World:
    return WORLDS[request.param](np.random.default_rng(11))


@pytest.fixture(scope="module")
def given(world: World) -> list[tuple[Lesson, Sample]]:
    return taught(world)


def test_every_gold_call_is_valid_and_right(world: World, given: list[tuple[Lesson, Sample]]) -> None:
    calls = 0
    for lesson, sample in given:
        names = {tool["function"]["name"] for tool in sample.tools}
        tools = {name: spec for name, spec in offered(lesson.shortlist).items() if name in names}
        answers = [called(message) for message in sample.messages if message["role"] == "assistant"]
        for answer in [*answers, called(sample.answer)]:
            if answer is None:
                continue
            calls += 1
            name, arguments = answer
            wanted = lesson.request.wanted
            assert wanted is not None
            assert tools[name].id == world.drawn_by[wanted.subject]
            call = to_call(tools[name], arguments, shortlist=[hit.spec for hit in lesson.shortlist.networks])
            assert wanted.subject in call.prompt
            assert [use.id for use in call.loras] == ([world.styled_by[wanted.style]] if wanted.style else [])
    assert calls > COUNT / 2


def test_it_declines_what_cannot_be_drawn(world: World, given: list[tuple[Lesson, Sample]]) -> None:
    impossible = absent = failed = 0
    for lesson, sample in given:
        wanted = lesson.request.wanted
        names = {tool["function"]["name"] for tool in sample.tools}
        offer = {spec.id for name, spec in offered(lesson.shortlist).items() if name in names}
        faults = [message for message in sample.messages if "fault" in message["content"] and message["role"] == "tool"]
        impossible += wanted is None
        absent += wanted is not None and world.drawn_by[wanted.subject] not in offer
        failed += bool(faults)
        declines = wanted is None or world.drawn_by[wanted.subject] not in offer or bool(faults)
        assert (called(sample.answer) is None) is declines
    assert impossible / COUNT == pytest.approx(IMPOSSIBLE, abs=0.12)
    assert absent / (COUNT - impossible) == pytest.approx(GOLD_ABSENT, abs=0.09)
    assert failed < RETRIES * COUNT


def test_training_sees_no_held_out_pair(given: list[tuple[Lesson, Sample]]) -> None:
    wanted = [lesson.request.wanted for lesson, _ in given]
    assert not any(held_out_style(one.subject, one.style) for one in wanted if one is not None)


def test_the_place_of_the_gold_call_is_chance(world: World, given: list[tuple[Lesson, Sample]]) -> None:
    places = set()
    for _, sample in given:
        answer = called(sample.answer)
        if answer is not None:
            places.add([tool["function"]["name"] for tool in sample.tools].index(answer[0]))
    assert len(places) >= min(2, sum(spec.is_checkpoint for spec in world.catalog))


def test_a_seed_repeats(world: World, given: list[tuple[Lesson, Sample]]) -> None:
    assert taught(world)[:20] == given[:20]
    assert taught(world, seed=2)[:20] != given[:20]


@pytest.mark.parametrize("seed", range(12))
def test_a_made_up_world_holds_together(seed: int) -> None:
    world = made_up_world(np.random.default_rng(seed))
    specs = list(world.catalog)
    numbers = [number for spec in specs for number in (spec.model_id, spec.version_id)]
    assert len(set(numbers)) == len(numbers)
    assert len({spec.tool_name for spec in specs}) == len(specs)
    checkpoints = [spec for spec in specs if spec.is_checkpoint]
    networks = [spec for spec in specs if spec.is_network]
    assert 2 <= len(checkpoints) <= 6
    assert all(compatible(network, checkpoint).ok for network in networks for checkpoint in checkpoints)
    assert set(world.drawn_by.values()) == {spec.id for spec in checkpoints}
    assert set(world.styled_by.values()) == {spec.id for spec in networks}
    for subject, spec_id in world.drawn_by.items():
        assert subject in world.catalog.get(spec_id).tags
        assert sum(subject in spec.tags for spec in checkpoints) == 1
    foreign = set(world.subjects) - set(all_subjects())
    assert foreign <= set(UNKNOWN)
    assert not any(map(held_out_phrase, foreign))


def test_a_mixed_world_has_other_models_beside_the_pocket_ones() -> None:
    pocket = pocket_world()
    own = {spec.id for spec in pocket.catalog}
    missing = set()
    for seed in range(12):
        world = mixed_world(np.random.default_rng(seed))
        added = [spec for spec in world.catalog if spec.id not in own]
        assert any(spec.is_checkpoint for spec in added)
        assert any(spec.is_network for spec in added)
        assert all(spec.id in world.catalog for spec in pocket.catalog if spec.is_checkpoint)
        missing |= {spec_id for spec_id in own if spec_id not in world.catalog}
        assert {*world.drawn_by.values(), *world.styled_by.values()} <= {spec.id for spec in world.catalog}
        assert {spec.id for spec in added} <= {*world.drawn_by.values(), *world.styled_by.values()}
        for subject, spec_id in world.drawn_by.items():
            assert subject in world.catalog.get(spec_id).tags
        for style, spec_id in world.styled_by.items():
            assert style in world.catalog.get(spec_id).tags or world.catalog.get(spec_id).trigger_words == (style,)
    assert missing == {spec.id for spec in pocket.catalog if spec.is_network}


def test_the_pocket_world_is_the_one_that_ships() -> None:
    world = pocket_world()
    assert world.subjects == list(all_subjects())
    for subject, spec_id in world.drawn_by.items():
        assert subject in world.catalog.get(spec_id).tags
    for style, spec_id in world.styled_by.items():
        assert world.catalog.get(spec_id).trigger_words == (style,)


def test_people_forget_the_trigger_words_sometimes() -> None:
    world = pocket_world()
    checkpoint, network = world.catalog.get(world.drawn_by["cat"]), world.catalog.get(world.styled_by["neon"])
    rng = np.random.default_rng(0)
    prompts = [
        str(community_arguments(Wanted("cat", "red", "neon"), checkpoint, network, rng)["prompt"]) for _ in range(300)
    ]
    assert sum(prompt.startswith("neon, ") for prompt in prompts) > 90
    assert sum(prompt.endswith(", neon") for prompt in prompts) > 90
    assert 10 < sum("neon" not in prompt for prompt in prompts) < 60


def test_people_stay_near_the_cfg_scale_of_the_family() -> None:
    world = pocket_world()
    checkpoint = world.catalog.get(world.drawn_by["cat"])
    rng = np.random.default_rng(0)
    scales = [community_arguments(Wanted("cat"), checkpoint, None, rng)["cfg_scale"] for _ in range(400)]
    default = FAMILIES[checkpoint.family].cfg_scale
    assert 0.5 < scales.count(default) / len(scales) < 0.75
    assert default < max(scales) <= 2 * default


def test_a_call_may_end_before_its_parameters() -> None:
    text = '<tool_call>\n{"name": "a", "arguments": {"loras": [], "prompt": "a cat", "negative_prompt": ""'
    row = {"id": "1", "prompt": "p", "completion": text + ', "sampler": "Euler", "steps": 20}}\n</tool_call><|end|>'}
    assert without_parameters(row) == {"id": "1", "prompt": "p", "completion": text}
    declined = row | {"completion": f"{REFUSAL}<|end|>"}
    assert without_parameters(declined) == declined
