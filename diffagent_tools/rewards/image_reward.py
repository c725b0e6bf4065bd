"""ImageReward: BLIP trained on experts' rankings of pictures."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Final

from diffagent_tools.rewards.learned import LearnedReward

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedModel

MEAN: Final = 0.16717362830052426
STD: Final = 1.0333394966054072
"""Mean and deviation of the raw reward, from the authors' code (THUDM/ImageReward, ImageReward/ImageReward.py)."""


class ImageRewardReward(LearnedReward):
    r"""ImageReward of Xu et al. 2023 (arXiv 2304.05977).

    $$ s = \frac{\mathrm{MLP}(h_\text{[CLS]}) - 0.1672}{1.0333} $$

    where $h_\text{[CLS]}$ is BERT's last state of [CLS], with the prompt's first 35 tokens and cross-attention to the
    patches of a ViT-L/16 at 224 pixels. The mean is near 0 and the deviation near 1 over the authors' pictures; tables
    often print a hundred times that.

    The authors publish `ImageReward.pt` with names of their own: `python -m diffagent_tools.rewards.published` makes a
    folder of it.
    """

    kind = "imagereward"
    context = 35

    @classmethod
    def network(cls) -> type[PreTrainedModel]:
        """`ImageRewardNetwork`."""
        from diffagent_tools.rewards.image_reward_network import ImageRewardNetwork

        return ImageRewardNetwork

    def _scores(self, model: PreTrainedModel, inputs: Mapping[str, torch.Tensor]) -> torch.Tensor:
        raw: torch.Tensor = model(**inputs)
        return (raw - MEAN) / STD
