from __future__ import annotations

import json
from datetime import date

from finetune.dabench.card import LICENCE, as_json, card, statistics, tables
from finetune.dabench.pairs import Pair

CALL: dict = {"family": "sd15", "checkpoint": "civitai:1@11", "prompt": "a fox", "sampler": "Euler a", "steps": 20}


def pair(number: int, split: str = "train", instruction: str = "a fox", **fields: object) -> Pair:
    values = {"id": f"{split}-{number}", "instruction": instruction, "call": CALL, "split": split, **fields}
    return Pair.model_validate(values)


PAIRS = [
    pair(1, created=date(2023, 5, 1), wording="rules"),
    pair(2, instruction="draw a fox please", created=date(2023, 4, 1), wording="rules"),
    pair(3, call={**CALL, "loras": [{"id": "civitai:2@21"}], "sampler": "DDIM"}, wording="chat"),
    pair(4, "extra", call=None, instruction="paint my dreams"),
    pair(5, "dev"),
    pair(6, "dev", call={**CALL, "checkpoint": "civitai:3@31", "family": "sdxl", "width": 1024, "height": 1024}),
]


def test_statistics_count_each_split() -> None:
    figures = statistics(PAIRS)

    assert list(figures) == ["train", "dev", "extra"]
    train = figures["train"]
    assert (train.pairs, train.declined, train.checkpoints, train.networks, train.only_here) == (3, 0, 1, 1, 1)
    assert train.families == {"sd15": 3}
    assert train.networks_used == {0: 2, 1: 1}
    assert train.samplers == {"Euler a": 2, "DDIM": 1}
    assert train.wordings == {"rules": 2, "chat": 1}
    assert (train.first, train.last) == ("2023-04-01", "2023-05-01")
    assert train.words[2] == 2.0
    assert figures["dev"].only_here == 1
    assert (figures["extra"].pairs, figures["extra"].declined, figures["extra"].first) == (1, 1, "")


def test_statistics_are_json() -> None:
    assert json.loads(json.dumps(as_json(statistics(PAIRS))))["train"]["samplers"] == {"Euler a": 2, "DDIM": 1}


def test_every_table_is_a_whole_one() -> None:
    for table in tables(statistics(PAIRS)).split("\n\n"):
        assert len({line.count("|") for line in table.splitlines()}) == 1


def test_a_card_says_whose_the_records_are_and_what_was_dropped() -> None:
    text = card(
        PAIRS,
        title="Foxes",
        about="All about foxes.",
        types={"civitai:1@11": "Checkpoint", "civitai:2@21": "LORA"},
        dropped={"it was a wolf": 3, "it slept": 1200},
    )

    assert text.startswith("# Foxes\n\nAll about foxes.\n")
    assert LICENCE in text
    assert "creators" in LICENCE
    assert "Civitai" in LICENCE
    assert text.index("| it slept | 1,200 |") < text.index("| it was a wolf | 3 |")
    assert "| Checkpoint | 1 | 4 |" in text
    assert "| unknown | 1 | 1 |" in text


def test_a_data_set_without_calls_has_a_card() -> None:
    assert "| extra | 1 | 1 |" in card([PAIRS[3]], title="T", about="A", licence="ours")
