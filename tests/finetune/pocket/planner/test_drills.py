"""Drills: whatever their answers hold stands in what is read."""

from __future__ import annotations

import json
import re

import pytest

from finetune.pocket.planner.drills import drills
from finetune.pocket.planner.requests import held_out_phrase
from finetune.pocket.planner.words import COLOUR_WORDS, PLACES, SYNONYMS
from finetune.pocket.world import COLOURS, SCENES

ROWS = list(drills(600, seed=5))
CALLS = [row for row in ROWS if row["completion"].startswith("<tool_call>")]


def arguments_of(row: dict[str, str]) -> tuple[str, dict[str, object]]:
    call = json.loads(row["completion"].split("\n")[1] + "}}")
    return call["name"], call["arguments"]


def test_a_seed_repeats() -> None:
    assert list(drills(40, seed=5)) == ROWS[:40]
    assert list(drills(40, seed=6)) != ROWS[:40]


def test_half_of_them_only_say_again() -> None:
    echoes = [row for row in ROWS if row not in CALLS]
    assert len(echoes) / len(ROWS) == pytest.approx(0.5, abs=0.08)
    assert all(row["prompt"] == f"<|user|>{row['completion']}<|assistant|>" for row in echoes)


@pytest.mark.parametrize("row", CALLS[:150], ids=lambda row: row["id"])
def test_a_call_is_made_of_what_is_told(row: dict[str, str]) -> None:
    name, arguments = arguments_of(row)
    (line,) = [line for line in row["prompt"].split("\n") if line.startswith("civitai") and ": knows '" in line]
    assert line.startswith(f"{name}: knows ")
    subject, *places = re.findall(r"knows '(.+?)'", line)
    prompt = str(arguments["prompt"])
    picture = prompt.split(", ")[-1]
    assert re.match(rf"(an? )?{subject}( |$)", picture)
    assert picture.endswith(places[0] if places else subject)
    style = [line for line in row["prompt"].split("\n") if line.startswith("+") and "knows" in line]
    assert bool(style) is ("," in prompt) is bool(arguments["loras"])
    for line in style:
        (lora,) = arguments["loras"]  # type: ignore[misc]
        assert line.startswith(f"+ {lora['id']} is ")
        assert f"triggered by '{prompt.split(', ')[0]}' knows" in line


def test_words_are_asked_for_by_others_and_places_too() -> None:
    reasons = [re.findall(r"knows '(.+?)'(?: for '(.+?)')?", row["prompt"]) for row in CALLS]
    subjects = [found[0] for found in reasons]
    backgrounds = {*(f"{colour} background" for colour in COLOURS), *SCENES.values()}
    places = [reason for found in reasons for reason in found[1:] if reason[0] in backgrounds]
    assert 0.3 < sum(bool(asked) for _, asked in subjects) / len(subjects) < 0.8
    assert len(places) > len(CALLS) / 4
    assert sum(bool(asked) for _, asked in places) > len(places) / 5


def test_no_held_out_word_is_among_them() -> None:
    text = "\n".join(row["prompt"] for row in CALLS)
    said = [*PLACES.values(), *COLOUR_WORDS.values(), *SYNONYMS.values()]
    hidden = [phrase for phrases in said for phrase in phrases if held_out_phrase(phrase)]
    assert len(hidden) > 50
    assert not [phrase for phrase in hidden if f"for '{phrase}'" in text]
