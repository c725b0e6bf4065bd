from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from finetune.sfta.rrhf import rrhf_loss


def tensors(*rows: tuple[list[float], list[int], list[float]]) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Log-probabilities, lengths, rewards and mask of rows that may be of unlike numbers of responses."""
    most = max(len(row[0]) for row in rows)
    logprobs = torch.full((len(rows), most), -99.0, dtype=torch.float64)
    lengths = torch.ones(len(rows), most, dtype=torch.long)
    rewards = torch.full((len(rows), most), 99.0, dtype=torch.float64)
    mask = torch.zeros(len(rows), most, dtype=torch.bool)
    for number, (sums, sizes, values) in enumerate(rows):
        for place, (total, size, reward) in enumerate(zip(sums, sizes, values, strict=True)):
            logprobs[number, place], lengths[number, place], rewards[number, place] = total, size, reward
            mask[number, place] = True
    return logprobs, lengths, rewards, mask


def test_by_hand() -> None:
    # Scores -2, -1, -3 with rewards 3, 1, 2: the pairs (lower, higher) are (1, 0), (1, 2) and (2, 0); the lower is more
    # likely in the first by 1, in the second by 2, and less likely in the third.
    given = tensors(([-8.0, -2.0, -9.0], [4, 2, 3], [3.0, 1.0, 2.0]))

    loss = rrhf_loss(*given)

    assert loss.ranking.item() == pytest.approx(1.0 + 2.0)
    assert loss.likelihood.item() == pytest.approx(2.0)
    assert loss.total.item() == pytest.approx(5.0)
    assert rrhf_loss(*given, likelihood="sum").likelihood.item() == pytest.approx(8.0)
    assert rrhf_loss(*given, weight=0.5).total.item() == pytest.approx(3.5)


def test_length_penalty_divides_by_a_power_of_the_length() -> None:
    given = tensors(([-8.0, -2.0], [4, 2], [1.0, 0.0]))

    assert rrhf_loss(*given, length_penalty=0.0).ranking.item() == pytest.approx(-2.0 + 8.0)
    assert rrhf_loss(*given, length_penalty=0.5).ranking.item() == pytest.approx(-2 / math.sqrt(2) + 8 / 2)


def test_gradient_is_that_of_finite_differences() -> None:
    torch.manual_seed(3)
    logprobs = (-10 * torch.rand(4, 5, dtype=torch.float64)).requires_grad_()
    lengths = torch.randint(3, 9, (4, 5))
    rewards = torch.randint(0, 4, (4, 5)).double()
    mask = torch.tensor([[1, 1, 1, 1, 1], [1, 1, 0, 0, 0], [1, 0, 0, 0, 0], [1, 1, 1, 1, 0]], dtype=torch.bool)

    def total(given: Tensor) -> Tensor:
        return rrhf_loss(given, lengths, rewards, mask, length_penalty=0.7, weight=1.3).total

    assert torch.autograd.gradcheck(total, (logprobs,))


def test_responses_of_equal_reward_make_no_pair_and_the_first_of_them_is_the_best() -> None:
    loss = rrhf_loss(*tensors(([-4.0, -1.0], [1, 1], [2.0, 2.0])))

    assert loss.ranking.item() == 0.0
    assert loss.likelihood.item() == pytest.approx(4.0)


def test_pairs_within_the_margin_do_not_count() -> None:
    given = tensors(([-4.0, -1.0, -2.0], [1, 1, 1], [1.0, 0.8, 0.0]))

    assert rrhf_loss(*given).ranking.item() == pytest.approx(3.0 + 2.0)
    assert rrhf_loss(*given, margin=0.5).ranking.item() == pytest.approx(2.0)


def test_one_response_is_only_learnt() -> None:
    loss = rrhf_loss(*tensors(([-6.0], [3], [0.1])))

    assert loss.ranking.item() == 0.0
    assert loss.total.item() == pytest.approx(2.0)


def test_rows_count_alike_however_many_responses_they_have() -> None:
    long = ([-8.0, -2.0, -9.0], [4, 2, 3], [3.0, 1.0, 2.0])
    short = ([-5.0, -2.0], [5, 1], [1.0, 0.0])

    both, first, second = (rrhf_loss(*tensors(*rows)) for rows in ([long, short], [long], [short]))

    for part in ("total", "ranking", "likelihood"):
        mean = (getattr(first, part) + getattr(second, part)) / 2
        assert getattr(both, part).item() == pytest.approx(mean.item())


def test_what_is_masked_has_no_gradient() -> None:
    logprobs, lengths, rewards, mask = tensors(([-1.0, -2.0, -3.0], [1, 1, 1], [0.0, 1.0, 2.0]), ([-1.0], [1], [0.0]))
    logprobs = logprobs.masked_fill(~mask, -float("inf")).requires_grad_()

    rrhf_loss(logprobs, lengths, rewards, mask).total.backward()

    assert logprobs.grad is not None
    assert torch.isfinite(logprobs.grad).all()
    assert (logprobs.grad[~mask] == 0).all()
