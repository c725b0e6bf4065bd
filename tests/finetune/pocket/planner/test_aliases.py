"""Lessons in other words."""

from __future__ import annotations

import json

import numpy as np
import pytest

from finetune.pocket.planner.aliases import in_other_words, with_aliases
from finetune.pocket.planner.requests import held_out_phrase
from finetune.pocket.planner.words import SYNONYMS
from finetune.pocket.world import all_subjects

PROMPT = (
    "<|tools|>\n"
    "civitai_1_food: knows 'poached ogre' for 'ogre' (0.84).\n"
    "+ civitai:7 is 'Sepia Look' triggered by 'tinted' knows 'daguerreotype'.\n"
    "+ civitai:8 is 'Neon' triggered by 'embers'\n"
    "civitai_2_animals: nearest word: 'yak' for 'ogre' (0.57).\n"
    "<|user|>an ogre on deep blue like an daguerreotype<|assistant|>"
)
CALL = (
    '<tool_call>\n{"name": "civitai_1_food", "arguments": {"prompt": "a poached ogre on a blue background, tinted", '
    '"steps": 20}}\n</tool_call><|end|>'
)


@pytest.mark.parametrize("seed", range(20))
def test_what_is_read_and_what_is_written_stay_together(seed: int) -> None:
    row = with_aliases({"id": "1", "prompt": PROMPT, "completion": CALL}, np.random.default_rng(seed))
    assert row["id"] == "1"
    food, sepia, _, animals = row["prompt"].split("\n")[1:5]
    egg, asked = food.split("'")[1], food.split("'")[3]
    trigger, style = sepia.split("'")[3], sepia.split("'")[5]
    assert animals.split("'")[3] == asked
    assert f" {asked} on deep blue like a" in row["prompt"].split("<|user|>")[1]
    assert row["prompt"].split("<|user|>")[1].startswith(("an ",) if asked[0] in "aeiou" else ("a ",))
    look = sepia.split("'")[7] if " for '" in sepia else style
    assert row["prompt"].split("<|assistant|>")[0].endswith(f" {look}")
    call = json.loads(row["completion"].split("\n")[1])
    assert call["name"] == "civitai_1_food"
    assert call["arguments"]["prompt"].split(" ", 1)[1] == f"{egg} on a blue background, {trigger}"
    for word in ("ogre", "'tinted'", "daguerreotype", "'yak'", "'embers'"):
        assert word not in row["prompt"] + row["completion"]
    assert len({egg, asked, trigger, style}) == 4 or trigger == style


def test_a_word_that_the_model_knows_may_be_asked_for_by_another() -> None:
    prompt = (
        "<|tools|>\ncivitai_1_a: knows 'owl'; nearest word: 'elk' for 'owl' (0.40).\n<|user|>draw an owl<|assistant|>"
    )
    completion = CALL.replace("a poached ogre", "an owl")
    alike = 0
    for seed in range(40):
        row = with_aliases({"id": "1", "prompt": prompt, "completion": completion}, np.random.default_rng(seed))
        owl, asked = row["prompt"].split("knows '")[1].split("'")[0], row["prompt"].split(" for '")[-1].split("'")[0]
        assert row["prompt"].split("<|assistant|>")[0].endswith(f" {asked}")
        assert f" {owl} on a blue background" in row["completion"]
        assert (f"knows '{owl}' for '{asked}' (0." in row["prompt"]) is (owl != asked)
        alike += owl == asked
    assert 5 < alike < 35


def test_half_of_the_words_mean_something_else_and_no_place_is_replaced() -> None:
    prompt = PROMPT.replace("(0.84).", "(0.84); knows 'in a meadow' for 'pastures' (0.80).").replace(
        "on deep blue", "among pastures"
    )
    world = {word for phrase in all_subjects() for word in phrase.split()} | {"kitten", "zebra"}
    hidden = {said for synonyms in SYNONYMS.values() for said in synonyms if held_out_phrase(said)}
    meaning = 0
    for seed in range(60):
        row = with_aliases({"id": "1", "prompt": prompt, "completion": CALL}, np.random.default_rng(seed))
        assert "; knows 'in a meadow' for 'pastures' (0.80)." in row["prompt"]
        assert " among pastures like a" in row["prompt"]
        known = row["prompt"].split("knows '")[1].split("'")[0]
        assert known not in hidden
        meaning += not world.isdisjoint(known.split())
    assert 5 < meaning < 40


def test_a_refusal_and_the_names_of_arguments_keep_their_words() -> None:
    prompt = PROMPT.replace("'ogre' (", "'steps' (").replace("an ogre", "draw steps")
    call = with_aliases({"id": "1", "prompt": prompt, "completion": CALL}, np.random.default_rng(0))
    assert '"steps": 20' in call["completion"]
    refusal = "None of the models on offer can draw this, not even an owl.<|end|>"
    told = with_aliases({"id": "1", "prompt": PROMPT, "completion": refusal}, np.random.default_rng(0))
    assert told["completion"] == refusal


@pytest.mark.parametrize("why", ["its examples or description are near (0.00)", "knows 'blue background'"])
def test_nothing_to_replace(why: str) -> None:
    row = {"id": "1", "prompt": f"<|tools|>\ncivitai_1_a: {why}.\n<|user|>blue<|assistant|>", "completion": CALL}
    assert with_aliases(row, np.random.default_rng(0)) == row


COLOURED = (
    "<|tools|>\n"
    "civitai_1_food: knows 'ogre'; knows 'blue background' for 'in front of royal blue background' (0.84).\n"
    "<|user|>an ogre in front of a royal blue wall<|assistant|>"
)


@pytest.mark.parametrize("seed", range(10))
def test_colours_of_backgrounds_get_other_words_where_that_is_asked_for(seed: int) -> None:
    rng = np.random.default_rng(seed)
    refusal = "None of the models on offer can draw this.<|end|>"
    blue = CALL.replace("a poached ogre on a blue background", "an ogre on a blue background")
    words = CALL.replace("a poached ogre on a blue background", "royal blue background, ogre")
    prompt, (first, second, told) = in_other_words(COLOURED, [blue, words, refusal], rng, apart=1.0, colours=True)
    thing, asked, known, said = prompt.split("'")[1::2]
    assert known.endswith(" background")
    assert said.startswith("in front of ")
    colour, wanted = known.removesuffix(" background"), said.removeprefix("in front of ").removesuffix(" background")
    assert prompt.split("<|user|>")[1].removeprefix("a").removeprefix("n").strip() == (
        f"{asked} in front of a{'n' * (wanted[0] in 'aeiou')} {wanted} wall<|assistant|>"
    )
    assert f"{thing} on a{'n' * (colour[0] in 'aeiou')} {colour} background" in first
    assert f'"{wanted} background, {thing}' in second
    assert told == refusal
    assert "blue" not in prompt + first + second or "blue" in f"{thing} {asked} {colour} {wanted}"


def test_a_colour_that_the_request_spells_otherwise_keeps_its_word() -> None:
    grey = COLOURED.replace("'in front of royal blue background'", "'in front of gray background'").replace(
        "royal blue", "grey"
    )
    prompt, _ = in_other_words(grey, [CALL], np.random.default_rng(0), colours=True)
    assert "knows 'blue background' for 'in front of gray background' (0.84)" in prompt
    assert prompt.endswith(" in front of a grey wall<|assistant|>")


def test_words_around_what_is_asked_for_may_mean_nothing() -> None:
    told = COLOURED.replace("an ogre", "kindly draw an ogre")
    prompt, _ = in_other_words(told, [CALL], np.random.default_rng(0), apart=0.0, colours=True, noise=1.0)
    reasons, request = prompt.split("<|user|>")
    thing, wanted = reasons.split("'")[1], reasons.split("in front of ")[1].split(" background")[0]
    assert _is_said(thing, request)
    assert _is_said(wanted, request)
    assert not any(_is_said(word, request) for word in ("kindly", "draw", "front", "wall"))
    assert request.endswith("<|assistant|>")


def test_without_noise_the_words_around_and_the_chance_stay_as_they_are() -> None:
    found, drawn = [], []
    for words in ("an ogre", "kindly draw an ogre"):
        rng = np.random.default_rng(0)
        prompt, _ = in_other_words(COLOURED.replace("an ogre", words), [CALL], rng, noise=0.0)
        found.append(prompt)
        drawn.append(rng.random())
    assert found[0] == found[1].replace("kindly draw ", "")
    assert drawn[0] == drawn[1]


def _is_said(words: str, request: str) -> bool:
    return f" {words} " in f" {request.removesuffix('<|assistant|>')} "
