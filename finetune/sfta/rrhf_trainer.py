"""RRHF on top of transformers' Trainer. A prompt goes through the model once, with all its responses behind it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from functools import partial
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional
from torch.nn.utils.rnn import pad_sequence
from transformers import Trainer

from finetune.sfta.batches import BatchesOfLikeLength
from finetune.sfta.rankings import Ranking
from finetune.sfta.rrhf import rrhf_loss

PROMPT, PADDING = 0, -1


class RRHFTrainer(BatchesOfLikeLength, Trainer):
    """Learns from rankings.

    Args:
        loss: Options of `rrhf_loss`.
        options: Those of `transformers.Trainer`, and `lengths`.
    """

    loss_is_scaled_for_ga = False

    def __init__(self, *, loss: dict[str, Any], **options: Any) -> None:
        pad = options["processing_class"].pad_token_id
        super().__init__(data_collator=partial(collate, pad_token=pad), **options)
        self._loss = loss
        self._parts: dict[str, list[Tensor]] = defaultdict(list)

    def compute_loss(
        self,
        model: torch.nn.Module,
        inputs: dict[str, Tensor],
        return_outputs: bool = False,
        num_items_in_batch: Tensor | None = None,  # noqa: ARG002 - transformers' signature
    ) -> Tensor | tuple[Tensor, dict[str, Tensor]]:
        """The loss of a batch, see `rrhf_loss`."""
        logprobs, lengths = response_logprobs(model, inputs)
        loss = rrhf_loss(logprobs, lengths, inputs["rewards"], lengths > 0, **self._loss)
        prefix = "" if model.training else "eval_"
        self._parts[f"{prefix}ranking"].append(loss.ranking.detach())
        self._parts[f"{prefix}likelihood"].append(loss.likelihood.detach())
        return (loss.total, {}) if return_outputs else loss.total

    def prediction_step(
        self,
        model: torch.nn.Module,
        inputs: dict[str, Tensor],
        prediction_loss_only: bool,  # noqa: ARG002
        ignore_keys: list[str] | None = None,  # noqa: ARG002
    ) -> tuple[Tensor, None, None]:
        """The loss of a batch of the evaluation."""
        with torch.no_grad(), self.compute_loss_context_manager():
            loss = self.compute_loss(model, self._prepare_inputs(inputs))
        assert isinstance(loss, Tensor)
        return loss.detach(), None, None

    def log(self, logs: dict[str, float], start_time: float | None = None) -> None:
        """Log the means of both parts of the loss as well."""
        prefix = "eval_" if any(key.startswith("eval_") for key in logs) else ""
        for part in ("ranking", "likelihood"):
            values = self._parts.pop(prefix + part, [])
            if values:
                logs[prefix + part] = torch.stack(values).mean().item()
        super().log(logs, start_time)


def collate(rankings: Sequence[Ranking], pad_token: int) -> dict[str, Tensor]:
    """Make a batch: one row a prompt, with its responses behind it.

    Returns:
        `input_ids` (n, t); `segments` (n, t): 0 on the prompt, i on the i-th response, -1 on padding; `position_ids`
        (n, t): each response follows the prompt; `sources` (n, t): the place whose logits tell of this token; `rewards`
        (n, k), k of the longest ranking.
    """
    rows: dict[str, list[Tensor]] = defaultdict(list)
    for one in rankings:
        start = len(one.prompt)
        ids, segments, positions, sources = list(one.prompt), [PROMPT] * start, [*range(start)], [0] * start
        for number, response in enumerate(one.responses, 1):
            begin = len(ids)
            ids += response
            segments += [number] * len(response)
            positions += range(start, start + len(response))
            sources += [start - 1, *range(begin, begin + len(response) - 1)]
        for name, values in (
            ("input_ids", ids),
            ("segments", segments),
            ("position_ids", positions),
            ("sources", sources),
        ):
            rows[name].append(torch.tensor(values))
        rows["rewards"].append(torch.tensor(one.rewards, dtype=torch.float32))
    padding = {"input_ids": pad_token, "segments": PADDING}
    return {
        name: pad_sequence(values, batch_first=True, padding_value=padding.get(name, 0))
        for name, values in rows.items()
    }


def response_logprobs(model: torch.nn.Module, batch: dict[str, Tensor]) -> tuple[Tensor, Tensor]:
    """Log-probability of each response.

    Args:
        model: A causal language model that takes masks of four dimensions.
        batch: From `collate`.

    Returns:
        Sums over the tokens, in nats, and numbers of tokens, both (n, k); both 0 where there is no response.
    """
    segments, sources = batch["segments"], batch["sources"]
    counted = segments > PROMPT
    # Only the places that foretell a token of some response go through the output head.
    needed = torch.zeros(segments.shape[1], dtype=torch.bool, device=segments.device)
    needed[sources[counted]] = True
    logits = model(
        input_ids=batch["input_ids"],
        attention_mask=_mask(segments),
        position_ids=batch["position_ids"],
        logits_to_keep=needed.nonzero().flatten(),
        use_cache=False,
    ).logits
    place = needed.cumsum(0) - 1
    row, _ = counted.nonzero(as_tuple=True)
    foretold = logits[row, place[sources[counted]]].float()
    token_logprobs = -functional.cross_entropy(foretold, batch["input_ids"][counted], reduction="none")
    rows, most = batch["rewards"].shape
    slot = row * most + segments[counted] - 1
    sums = token_logprobs.new_zeros(rows * most).index_add(0, slot, token_logprobs)
    lengths = torch.bincount(slot, minlength=rows * most)
    return sums.view(rows, most), lengths.view(rows, most)


def _mask(segments: Tensor) -> Tensor:
    """Which places (columns) each place (rows) attends to: those before it of the prompt and of its own response.

    Returns:
        (n, 1, t, t) bool.
    """
    size = segments.shape[1]
    before = torch.ones(size, size, dtype=torch.bool, device=segments.device).tril()
    own = segments[:, :, None] == segments[:, None, :]
    return ((own | (segments[:, None, :] == PROMPT)) & before)[:, None]
