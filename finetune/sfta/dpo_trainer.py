"""trl's DPOTrainer on pairs that are tokens already, with batches of like length."""

from __future__ import annotations

from datasets import Dataset
from trl import DPOTrainer

from finetune.sfta.batches import BatchesOfLikeLength


class PairTrainer(BatchesOfLikeLength, DPOTrainer):
    """Learns from pairs: `prompt_ids`, `chosen_ids` and `rejected_ids`."""

    def _prepare_dataset(self, dataset: Dataset, *_: object) -> Dataset:
        # trl would tokenise prompt and response in one piece, which serving cannot do.
        return dataset
