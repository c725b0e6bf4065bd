"""Batches of samples of like length, so that little of a batch is padding."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from transformers import TrainerCallback

if TYPE_CHECKING:
    from transformers import TrainerControl, TrainerState, TrainingArguments

POOL_BATCHES = 50
"""Batches that are sorted together: many enough for like lengths, few enough for mixed samples."""


class LengthGrouped:
    """A sampler whose order hangs on the seed and the epoch alone, so that a resumed run goes on with the same batches.

    Unlike the sampler of transformers, it shuffles the batches once more: otherwise each pool would be trained on from
    its longest samples to its shortest.

    Args:
        lengths: Tokens of each sample.
        batch_size: Samples of one step of the optimiser, over all processes and accumulated batches.
        seed: Seed of the order.
    """

    def __init__(self, lengths: Sequence[int], batch_size: int, seed: int) -> None:
        self._lengths = np.asarray(lengths)
        self._batch_size = batch_size
        self._seed = seed
        self._epoch = 0

    def set_epoch(self, epoch: int) -> None:
        """Choose the order of an epoch; the Trainer calls this."""
        self._epoch = epoch

    def __len__(self) -> int:
        """Samples in an epoch."""
        return len(self._lengths)

    def __iter__(self) -> Iterator[int]:
        """Indices of the samples; every `batch_size` of them make a batch, and the one that is not full is the last."""
        random = np.random.default_rng((self._seed, self._epoch))
        order = random.permutation(len(self._lengths))
        whole = len(order) // self._batch_size * self._batch_size
        pool = POOL_BATCHES * self._batch_size
        batches = []
        for start in range(0, whole, pool):
            part = order[start : min(start + pool, whole)]
            part = part[np.argsort(self._lengths[part], kind="stable")]
            batches.append(part.reshape(-1, self._batch_size))
        mixed = random.permutation(np.concatenate(batches)) if batches else order[:0]
        yield from (int(index) for index in mixed.ravel())
        yield from (int(index) for index in order[whole:])


class _EpochOrder(TrainerCallback):
    """Tells the sampler the epoch: where several processes share one, a resumed Trainer does not reach it."""

    def __init__(self) -> None:
        self.sampler: LengthGrouped | None = None

    def on_epoch_begin(
        self, _args: TrainingArguments, state: TrainerState, _control: TrainerControl, **_others: object
    ) -> None:
        """See `TrainerCallback`."""
        if self.sampler is not None:
            # A resumed epoch has a part of it behind it; a new one may be short of a whole number by a rounding error.
            self.sampler.set_epoch(int((state.epoch or 0.0) + 1e-6))


class BatchesOfLikeLength:
    """Gives a `transformers.Trainer` such batches; comes before it among the bases.

    Args:
        lengths: Tokens of each training sample.
        options: Those of the Trainer.
    """

    def __init__(self, *, lengths: Sequence[int], **options: Any) -> None:
        super().__init__(**options)
        self._lengths = lengths
        self._order = _EpochOrder()
        self.add_callback(self._order)  # type: ignore[attr-defined]

    def _get_train_sampler(self, _dataset: object = None) -> LengthGrouped:
        args, processes = self.args, self.accelerator.num_processes  # type: ignore[attr-defined]
        group = args.per_device_train_batch_size * args.gradient_accumulation_steps * processes
        self._order.sampler = LengthGrouped(self._lengths, group, args.seed)
        return self._order.sampler

    def create_model_card(self, *arguments: object, **options: object) -> None:
        """Write none with a checkpoint: the card comes with the trained model."""
