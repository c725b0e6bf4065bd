"""The network of ImageReward, made of transformers' BLIP classes. Importing this imports torch."""

from __future__ import annotations

from itertools import pairwise
from typing import Final

import torch
from transformers import BlipConfig, BlipPreTrainedModel, BlipTextModel, BlipVisionModel

HEAD_WIDTHS: Final = (1024, 128, 64, 16, 1)


class ImageRewardNetwork(BlipPreTrainedModel):
    """BLIP's picture encoder, BERT that looks at the picture through cross-attention, and five linear layers.

    The layers have nothing between them but dropout, which only training used: the published head is one linear map in
    five factors.
    """

    def __init__(self, config: BlipConfig) -> None:
        super().__init__(config)
        self.vision_model = BlipVisionModel(config.vision_config)
        self.text_encoder = BlipTextModel(config.text_config, add_pooling_layer=False)
        widths = (config.text_config.hidden_size, *HEAD_WIDTHS)
        self.head = torch.nn.Sequential(*(torch.nn.Linear(width, next_width) for width, next_width in pairwise(widths)))
        self.post_init()

    def forward(
        self, pixel_values: torch.Tensor, input_ids: torch.Tensor, attention_mask: torch.Tensor
    ) -> torch.Tensor:
        """The reward before it is standardised.

        Args:
            pixel_values: (n, 3, size, size).
            input_ids: (n, tokens), the first of each row being [CLS].
            attention_mask: (n, tokens).

        Returns:
            (n,).
        """
        patches = self.vision_model(pixel_values=pixel_values).last_hidden_state
        states = self.text_encoder(
            input_ids=input_ids, attention_mask=attention_mask, encoder_hidden_states=patches
        ).last_hidden_state
        reward: torch.Tensor = self.head(states[:, 0])[:, 0]
        return reward
