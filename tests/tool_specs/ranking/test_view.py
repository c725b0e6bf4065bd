from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.stored_models import record, specs
from tool_specs.ranking.documents import Described, Prompt, model_segment, prompt_segment
from tool_specs.ranking.encoder import Encoder
from tool_specs.ranking.segments import Collection, Segment
from tool_specs.ranking.texts import numbered
from tool_specs.ranking.view import Pool, View

LINKS = st.lists(st.tuples(st.integers(0, 9), st.integers(0, 5)), max_size=30)
"""Prompts with an owner."""
SCORES = st.lists(st.integers(0, 100), min_size=10, max_size=10)


@given(LINKS, SCORES)
def test_pooling_against_every_owner(links: list[tuple[int, int]], numbers: list[int]) -> None:
    scores = np.array(numbers, dtype=np.float32)
    prompts, owners = np.array(links, dtype=np.int64).reshape(-1, 2).T
    pool = Pool.of(prompts, owners, 6)
    mine = [{prompt for prompt, owner in links if owner == n} for n in range(6)]
    assert pool.counts.tolist() == [len(own) for own in mine]
    assert pool.maxima(scores).tolist() == [max((numbers[n] for n in own), default=0) for own in mine]
    assert pool.totals(scores).tolist() == pytest.approx([sum(numbers[n] for n in own) for own in mine])
    assert not pool.maxima(-scores).any()
    for owner, own in enumerate(mine):
        best = pool.best(owner, scores)
        assert (best is None) == (not own)
        if best is not None:
            assert best in own
            assert numbers[best] == max(numbers[n] for n in own)


def described(model_id: int, **fields: object) -> list[Described]:
    return [Described.of(spec) for spec in specs(record(model_id, f"Model {model_id}", **fields))]  # type: ignore[arg-type]


@pytest.fixture
def models(encoder: Encoder) -> Collection:
    return Collection.of(
        model_segment(
            [
                described(5, creator={"username": "ann"}, bases=("SD 1.5", "SDXL 1.0")),
                described(3, creator={"username": "ann"}, model_type="LORA", stats={"downloadCount": 0}),
                described(4, creator=None, stats=None, model_type="TextualInversion"),
                described(9, creator={"username": "bob"}, model_type="VAE", bases=("Pony",)),
            ],
            encoder,
        )
    )


def prompts(encoder: Encoder, *links: tuple[int, ...]) -> Segment:
    return prompt_segment([Prompt(n, f"prompt {n}", one) for n, one in enumerate(links, 1)], encoder)


def test_what_is_known_of_each_row(models: Collection, encoder: Encoder) -> None:
    view = View.of(Collection.of(prompts(encoder, (5,), (5, 3), (77,), (4,), (3, 3))), models)
    assert models.ids.tolist() == [5, 3, 4, 9]
    assert view.kind.tolist() == [0, 1, 1, 2]
    assert view.embedding.tolist() == [False, False, True, False]
    assert view.count.tolist() == [2, 2, 1, 0]
    # Prompts 1, 2 and 5 are of ann: one of them is no prompt of model 5, and one none of model 3.
    assert view.creator_count.tolist() == [1, 1, 0, 0]
    known = np.log1p([1000, 0, 1000])
    assert view.popularity.tolist() == pytest.approx([known[0], 0, np.median(known), known[0]])
    assert view.rows_with(int(numbered(["SDXL 1.0"])[0])).tolist() == [True, False, False, False]
    assert view.rows_with(int(numbered(["SD 1.5"])[0])).tolist() == [True, True, True, False]
    assert not view.rows_with(int(numbered(["sd 1.5"])[0])).any()


def test_what_is_gone_counts_for_nothing(models: Collection, encoder: Encoder) -> None:
    first = Collection.of(prompts(encoder, (5,), (5, 3), (9,)))
    evidence = first.replaced(np.array([1]), prompts(encoder, (4,)))
    left = models.replaced(np.array([5, 4]), model_segment([described(4)], encoder))
    view = View.of(evidence, left)
    assert left.ids.tolist() == [5, 3, 4, 9, 4]
    assert view.kind.tolist() == [-1, 1, -1, 2, 0]
    assert view.count.tolist() == [0, 1, 0, 1, 1]
    scores = np.array([100, 2, 3, 4], dtype=np.float32)
    assert view.by_model.maxima(scores).tolist() == [0, 2, 0, 3, 4]
    assert not view.rows_with(int(numbered(["SDXL 1.0"])[0])).any()


def test_nothing_at_all(encoder: Encoder) -> None:
    nothing = Collection.of(model_segment([], encoder))
    view = View.of(Collection.of(prompts(encoder, (5,))), nothing)
    assert view.count.shape == view.kind.shape == (0,)
    assert View.of(Collection.of(prompts(encoder)), nothing).by_model.maxima(np.zeros(0, np.float32)).shape == (0,)
