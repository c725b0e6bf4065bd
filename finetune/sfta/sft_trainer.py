"""trl's SFTTrainer with batches of like length, and a loss that is quick on a CPU."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional
from trl import SFTTrainer

from finetune.sfta.batches import BatchesOfLikeLength

IGNORED = -100


class CompletionTrainer(BatchesOfLikeLength, SFTTrainer):
    """Learns completions: `input_ids` and `labels`, -100 on the prompt."""

    def compute_loss(
        self,
        model: torch.nn.Module,
        inputs: dict[str, Tensor],
        return_outputs: bool = False,
        num_items_in_batch: Tensor | None = None,
    ) -> Tensor | tuple[Tensor, Any]:
        """The mean negative log-likelihood of the completions' tokens, as trl computes it.

        Away from GPUs trl puts every position through the output head, prompts too; there this does so only with
        positions at which some sample of the batch has a completion.
        """
        labels = inputs["labels"]
        if labels.device.type != "cpu" or return_outputs:
            return super().compute_loss(model, inputs, return_outputs, num_items_in_batch)
        targets = labels[:, 1:]
        positions = (targets != IGNORED).any(dim=0).nonzero().flatten()
        # Padding is on the right, where no token attends to it, and without a mask attention is causal and quicker.
        logits = model(input_ids=inputs["input_ids"], logits_to_keep=positions, use_cache=False).logits
        targets = targets[:, positions]
        loss = functional.cross_entropy(
            logits.flatten(0, 1).float(), targets.flatten(), ignore_index=IGNORED, reduction="sum"
        )
        if num_items_in_batch is None:
            return loss / (targets != IGNORED).sum()
        # The items are those of all processes, and their gradients will be averaged.
        return loss * self.accelerator.num_processes / num_items_in_batch
