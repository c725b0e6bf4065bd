from __future__ import annotations

import numpy as np

from tests.tool_specs.conftest import SpecMaker
from tool_specs.catalog import Catalog
from tool_specs.search.words import WordIndex, words_of


def test_the_spec_that_holds_the_words_scores_best(pocket_catalog: Catalog) -> None:
    specs = tuple(pocket_catalog)
    scores = WordIndex(specs).scores("two owls please")
    assert specs[int(scores.argmax())].model_id == 9001
    assert not WordIndex(specs).scores("zzz").any()


def test_rare_words_count_more(make_spec: SpecMaker) -> None:
    specs = [make_spec(1, tags=("car", "fox")), make_spec(2, tags=("car",)), make_spec(3, tags=("car",))]
    scores = WordIndex(specs).scores("fox car")
    assert scores[0] > scores[1] > 0


def test_no_specs_no_scores() -> None:
    assert WordIndex([]).scores("fox").shape == (0,)
    assert WordIndex([]).scores("fox").dtype == np.float32


def test_words_that_say_nothing_are_left_out() -> None:
    assert words_of("the foxes of a Grey house") == ["fox", "gray", "house"]
