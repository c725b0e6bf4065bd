from __future__ import annotations

import math

import numpy as np
import pytest

from finetune.dabench.bootstrap import differences, intervals


def test_the_interval_of_normal_values_is_the_one_of_the_textbook() -> None:
    values = np.random.default_rng(7).normal(3.0, 2.0, size=(900, 1))
    (found,) = intervals(values)
    half = 1.96 * values.std() / math.sqrt(900)
    assert found.mean == pytest.approx(values.mean())
    assert found.low == pytest.approx(values.mean() - half, abs=0.06 * half)
    assert found.high == pytest.approx(values.mean() + half, abs=0.06 * half)
    assert found.n == 900


def test_the_interval_of_a_share_is_the_one_of_the_textbook() -> None:
    values = (np.arange(400) < 100).astype(float)[:, None]
    (found,) = intervals(values)
    half = 1.96 * math.sqrt(0.25 * 0.75 / 400)
    assert found.mean == 0.25
    assert (found.low, found.high) == (pytest.approx(0.25 - half, abs=0.004), pytest.approx(0.25 + half, abs=0.004))


def test_intervals_hold_the_true_mean_as_often_as_they_say() -> None:
    generator = np.random.default_rng(11)
    samples = generator.exponential(1.0, size=(100, 300))
    held = [found.low <= 1.0 <= found.high for found in intervals(samples, resamples=1000)]
    # 95 % of 300, within three standard deviations; a percentile interval of skewed values holds a little less.
    assert 0.90 <= np.mean(held) <= 0.98


def test_a_difference_is_paired() -> None:
    generator = np.random.default_rng(3)
    difficulty = generator.normal(0.5, 0.2, size=400)
    first, second = difficulty + 0.01 + generator.normal(0, 0.01, size=400), difficulty
    (paired,) = differences(first[:, None], second[:, None])
    alone = intervals(np.stack([first, second], axis=1))
    assert paired.mean == pytest.approx(alone[0].mean - alone[1].mean)
    assert paired.excludes_zero
    # The intervals of the means overlap by far: only the pairing shows the difference.
    assert alone[0].low < alone[1].high
    assert paired.high - paired.low < 0.1 * (alone[0].high - alone[0].low)


def test_equal_planners_do_not_differ() -> None:
    values = np.random.default_rng(1).random(50)
    found = differences(values[:, None], values[:, None])[0]
    assert (found.mean, found.low, found.high, found.excludes_zero) == (0.0, 0.0, 0.0, False)


def test_values_that_do_not_apply_are_left_out() -> None:
    nan = math.nan
    values = np.array([[1.0, nan], [nan, nan], [3.0, nan], [nan, nan]])
    some, none = intervals(values)
    assert (some.mean, some.n) == (2.0, 2)
    assert 1.0 <= some.low <= some.high <= 3.0
    assert none.n == 0
    assert all(math.isnan(end) for end in (none.mean, none.low, none.high))
    (both,) = differences(np.array([[1.0], [nan], [5.0]]), np.array([[0.0], [2.0], [nan]]))
    assert (both.mean, both.n) == (1.0, 1)


def test_no_pairs_give_no_interval() -> None:
    assert intervals(np.zeros((0, 2)))[1].n == 0
    assert intervals(np.zeros((3, 0))) == []


def test_a_seed_repeats_the_interval() -> None:
    values = np.random.default_rng(5).random((60, 2))
    assert intervals(values, seed=4) == intervals(values, seed=4)
    assert intervals(values, seed=4) != intervals(values, seed=5)
