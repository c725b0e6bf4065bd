from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from rich.console import Console

from diffagent_tools.benchmarks.shortlist.__main__ import measure
from diffagent_tools.benchmarks.shortlist.rivals import Material, Rival, nearest_prompt, popularity, word_search
from diffagent_tools.benchmarks.shortlist.splits import data_folder
from tool_specs.exceptions import ConfigError
from tool_specs.ranking.documents import CHECKPOINT, NETWORK, Described
from tool_specs.ranking.view import Pool

PROMPTS = ("a castle on a hill", "a castle by the sea", "a red car")


def model(model_id: int, name: str, kind: int = CHECKPOINT) -> list[Described]:
    return [Described(model_id, 10 * model_id, name, kind, False, "SD 1.5", (), (), f"It draws {name}.", "", 5, "", 63)]


@pytest.fixture
def material() -> Material:
    models = [model(1, "cars"), model(2, "old castle"), model(3, "castle", NETWORK), model(4, "trees")]
    pool = Pool.of(np.array([0, 1, 2, 2]), np.array([3, 3, 0, 2]), len(models))
    return Material(models, PROMPTS, pool)


def found(material: Material, rival: Rival, text: str, kind: int = CHECKPOINT) -> list[int]:
    return material.ranked(rival(text), kind)


def test_popularity_is_how_many_prompts_a_model_drew(material: Material) -> None:
    assert found(material, popularity(material), "anything") == [4, 1, 2]


def test_words_are_compared_with_what_is_written(material: Material) -> None:
    assert found(material, word_search(material), "an old castle")[0] == 2
    assert found(material, word_search(material), "an old castle", NETWORK) == [3]


def test_the_nearest_prompt_speaks_for_its_model(material: Material) -> None:
    assert found(material, nearest_prompt(material), "castle on a hill")[0] == 4
    assert found(material, nearest_prompt(material), "red car")[0] == 1


@pytest.mark.slow
def test_the_shortlist_beats_every_simple_method_and_knows_when_nothing_fits(tmp_path: Path) -> None:
    try:
        data = data_folder()
    except ConfigError as error:
        pytest.skip(str(error))
    lines = "\n".join(measure(data, tmp_path, Console(quiet=True), minilm=False)).splitlines()

    ratios = {
        tuple(cells[1:3]): float(cells[-2].rstrip("×"))
        for line in lines
        if (cells := [cell.strip() for cell in line.split("|")])[3:4] == ["ours"]
    }
    assert len(ratios) == 4
    assert all(ratio >= (1.25 if split == "unseen-dev" else 1.1) for (split, _), ratio in ratios.items()), ratios
    shares = {line.partition(" (")[0]: float(line.rpartition(": ")[2].partition("%")[0]) for line in lines[-4:]}
    assert shares["requests of dev"] <= 4
    assert shares["short plain requests"] <= 4
    assert shares["texts that ask for no picture"] <= 20
