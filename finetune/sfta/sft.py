"""Stage 1 of SFTA: supervised fine-tuning on the right calls, with trl and peft."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from finetune.sfta.encoding import SampleRow, check_lengths, read_rows, tokenise
from finetune.sfta.models import check_packages, load_for_training, lora_config
from finetune.sfta.runs import Run, TrainingSettings

if TYPE_CHECKING:
    from datasets import Dataset
    from transformers import PreTrainedTokenizerBase, Trainer


class SFTSettings(TrainingSettings):
    """What `diffagent-train sft` takes. Rows of `data`: `{"id", "prompt", "completion"}`."""


def train_sft(settings: SFTSettings) -> Path:
    """Fine-tune a model on prompts and their completions; the loss is the completions' alone.

    A run that was stopped goes on from its last checkpoint; one that is finished is not done again.

    Args:
        settings: The settings.

    Returns:
        The folder of the trained model, `out/model`.

    Raises:
        ConfigError: A package is missing, the data cannot be used or hold samples longer than `max_length`, or `out`
            is the folder of another run.
        WeightsError: The model cannot be read.
        KeyboardInterrupt: Ctrl-C; a checkpoint is saved.
    """
    check_packages()
    from finetune.sfta.training import train

    return train(Run("sft", settings), partial(_trainer, settings))


def _trainer(settings: SFTSettings, tokenizer: PreTrainedTokenizerBase) -> tuple[Trainer, dict[str, int]]:
    from trl import SFTConfig

    from finetune.sfta.sft_trainer import CompletionTrainer
    from finetune.sfta.training import trainer_arguments

    train_rows = encoded(settings.data, tokenizer, settings.max_length)
    eval_rows = None if settings.eval_data is None else encoded(settings.eval_data, tokenizer, settings.max_length)
    unprepared = {"skip_prepare_dataset": True}
    trainer = CompletionTrainer(
        lengths=list(train_rows["length"]),
        model=load_for_training(settings),
        args=SFTConfig(**trainer_arguments(settings), max_length=None, dataset_kwargs=unprepared),
        train_dataset=train_rows,
        eval_dataset=eval_rows,
        processing_class=tokenizer,
        peft_config=lora_config(settings.lora),
    )
    return trainer, {"data": len(train_rows), "eval_data": 0 if eval_rows is None else len(eval_rows)}


def encoded(path: Path, tokenizer: PreTrainedTokenizerBase, max_length: int) -> Dataset:
    """Rows as tokens and labels.

    Args:
        path: JSON lines of `SampleRow`.
        tokenizer: That of the model.
        max_length: Most tokens of a prompt and its completion.

    Returns:
        `input_ids`, `labels` (-100 on the prompt) and `length`.

    Raises:
        ConfigError: The file cannot be used, or a sample is too long.
    """
    import numpy as np
    from datasets import Dataset

    rows = read_rows(path, SampleRow)
    prompts = tokenise([row.prompt for row in rows], tokenizer)
    completions = tokenise([row.completion for row in rows], tokenizer)
    lengths = [len(prompt) + len(completion) for prompt, completion in zip(prompts, completions, strict=True)]
    check_lengths([row.id for row in rows], lengths, max_length, path)
    # By length, so that batches that are taken in order, as in evaluation, hold little padding.
    pairs = sorted(zip(prompts, completions, strict=True), key=lambda pair: len(pair[0]) + len(pair[1]))
    return Dataset.from_dict(
        {
            "input_ids": [np.asarray(prompt + completion, dtype=np.int32) for prompt, completion in pairs],
            "labels": [np.asarray([-100] * len(prompt) + completion, dtype=np.int32) for prompt, completion in pairs],
            "length": sorted(lengths),
        }
    )
