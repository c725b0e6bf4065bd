"""The loss of RRHF: rank responses to align language models with human feedback (Yuan et al. 2023)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, NamedTuple

if TYPE_CHECKING:
    from torch import Tensor


class RRHFLoss(NamedTuple):
    """The loss and its two parts, each a scalar that is a mean over prompts.

    Attributes:
        total: `weight * ranking + likelihood`.
        ranking: Hinge over the pairs of a prompt's responses, summed.
        likelihood: Negative log-likelihood of a prompt's best response.
    """

    total: Tensor
    ranking: Tensor
    likelihood: Tensor


def rrhf_loss(
    logprobs: Tensor,
    lengths: Tensor,
    rewards: Tensor,
    mask: Tensor,
    *,
    length_penalty: float = 1.0,
    weight: float = 1.0,
    margin: float = 0.0,
    likelihood: Literal["mean", "sum"] = "mean",
) -> RRHFLoss:
    r"""Rank responses by their likelihood as they rank by reward, and stay with the best.

    With :math:`p_i = \sum_t \log P(y_{i,t} \mid x, y_{i,<t}) / |y_i|^{\alpha}`, a response's length-normalised
    log-probability (:math:`\alpha` is the length penalty):

    .. math::
        L_{rank} = \sum_{r_i < r_j} \max(0,\, p_i - p_j), \qquad
        L_{ft} = -\sum_t \log P(y_{i',t} \mid x, y_{i',<t}) \;\text{with}\; i' = \arg\max_i r_i, \qquad
        L = w\, L_{rank} + L_{ft}

    These are the equations of Yuan et al. 2023 (arXiv 2304.05302) for the score, the ranking loss, the best response
    and their sum; the paper has no weight :math:`w` and no exponent :math:`\alpha` other than 1, which are options of
    its reference code, and its numbering of the equations was not checked. The paper sums :math:`L_{ft}` over tokens;
    the reference code takes the mean, which is `likelihood="mean"` here.

    Responses of equal reward make no pair. Of several best responses the first counts.

    Args:
        logprobs: (n, k) summed log-probability of each response's tokens, in nats.
        lengths: (n, k) tokens of each response.
        rewards: (n, k) reward of each response.
        mask: (n, k) bool; False where a prompt has fewer than k responses. Each prompt has at least one.
        length_penalty: The exponent :math:`\alpha` of the lengths.
        weight: The factor :math:`w` of the ranking.
        margin: A pair counts only where the rewards differ by more than this.
        likelihood: Whether the best response counts by the mean or the sum of its tokens' log-probabilities.

    Returns:
        The loss; gradients flow to `logprobs`.
    """
    sizes = lengths.to(logprobs.dtype).clamp(min=1)
    scores = (logprobs / sizes**length_penalty).masked_fill(~mask, 0)
    pairs = (rewards[:, None, :] - rewards[:, :, None] > margin) & mask[:, :, None] & mask[:, None, :]
    hinges = (scores[:, :, None] - scores[:, None, :]).clamp(min=0)
    ranking = (hinges * pairs).sum(dim=(1, 2)).mean()

    best = rewards.masked_fill(~mask, -float("inf")).argmax(dim=1, keepdim=True)
    chosen = logprobs.gather(1, best)
    if likelihood == "mean":
        chosen = chosen / sizes.gather(1, best)
    unlikelihood = -chosen.mean()
    return RRHFLoss(weight * ranking + unlikelihood, ranking, unlikelihood)
