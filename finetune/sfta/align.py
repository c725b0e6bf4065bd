"""Stage 2 of SFTA: alignment by ranking, with RRHF, or with DPO as its rival."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from pydantic import Field

from finetune.sfta.models import check_packages, load_for_training, lora_config
from finetune.sfta.rankings import Ranking, check_pairs, preference_pairs, read_rankings
from finetune.sfta.runs import Run, TrainingSettings

if TYPE_CHECKING:
    from datasets import Dataset
    from transformers import PreTrainedModel, PreTrainedTokenizerBase, Trainer


class AlignSettings(TrainingSettings):
    """What `diffagent-train align` takes. Rows of `data`: `{"id", "prompt", "responses", "rewards"}`."""

    method: Literal["rrhf", "dpo"] = "rrhf"
    max_responses: int | None = Field(default=None, ge=2)
    """Most responses of a prompt; of more, the best, the worst, and some evenly between are taken."""
    reward_margin: float = Field(default=0.0, ge=0)
    """Two responses make a pair only where their rewards differ by more than this."""
    length_penalty: float = Field(default=1.0, ge=0)
    """RRHF: exponent of the length that log-probabilities are divided by."""
    rank_weight: float = Field(default=1.0, ge=0)
    """RRHF: factor of the ranking beside the likelihood of the best response."""
    likelihood: Literal["mean", "sum"] = "mean"
    """RRHF: whether the best response counts by the mean of its tokens, as in the reference code, or by their sum."""
    beta: float = Field(default=0.1, gt=0)
    """DPO: how much it costs to leave the model that alignment starts from."""


def align(settings: AlignSettings) -> Path:
    """Align a model with the rewards of its responses.

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

    return train(Run("align", settings), partial(_trainer, settings))


def _trainer(settings: AlignSettings, tokenizer: PreTrainedTokenizerBase) -> tuple[Trainer, dict[str, int]]:
    rankings = {
        name: read_rankings(path, tokenizer, settings.max_length, settings.max_responses)
        for name in ("data", "eval_data")
        if (path := getattr(settings, name)) is not None
    }
    check_pairs(len(preference_pairs(rankings["data"], settings.reward_margin)), settings.data, settings.reward_margin)
    model = load_for_training(settings)
    trainer = TRAINERS[settings.method](settings, model, tokenizer, rankings["data"], rankings.get("eval_data"))
    return trainer, {name: len(rows) for name, rows in rankings.items()}


def _rrhf(
    settings: AlignSettings,
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    rankings: list[Ranking],
    evaluated: list[Ranking] | None,
) -> Trainer:
    from peft import get_peft_model
    from transformers import TrainingArguments

    from finetune.sfta.rrhf_trainer import RRHFTrainer
    from finetune.sfta.training import trainer_arguments

    adapter = lora_config(settings.lora)
    return RRHFTrainer(
        lengths=[one.length for one in rankings],
        loss={
            "length_penalty": settings.length_penalty,
            "weight": settings.rank_weight,
            "margin": settings.reward_margin,
            "likelihood": settings.likelihood,
        },
        model=model if adapter is None else get_peft_model(model, adapter),
        args=TrainingArguments(**trainer_arguments(settings), remove_unused_columns=False),
        train_dataset=rankings,
        eval_dataset=evaluated,
        processing_class=tokenizer,
    )


def _dpo(
    settings: AlignSettings,
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    rankings: list[Ranking],
    evaluated: list[Ranking] | None,
) -> Trainer:
    from trl import DPOConfig

    from finetune.sfta.dpo_trainer import PairTrainer
    from finetune.sfta.training import trainer_arguments

    pairs = _pairs(rankings, settings.reward_margin)
    return PairTrainer(
        lengths=list(pairs["length"]),
        model=model,
        args=DPOConfig(**trainer_arguments(settings), max_length=None, beta=settings.beta, disable_dropout=False),
        train_dataset=pairs,
        eval_dataset=None if evaluated is None else _pairs(evaluated, settings.reward_margin),
        processing_class=tokenizer,
        peft_config=lora_config(settings.lora),
    )


def _pairs(rankings: list[Ranking], margin: float) -> Dataset:
    from datasets import Dataset

    pairs = preference_pairs(rankings, margin)
    return Dataset.from_dict(
        {
            "prompt_ids": [prompt for prompt, _, _ in pairs],
            "chosen_ids": [chosen for _, chosen, _ in pairs],
            "rejected_ids": [rejected for _, _, rejected in pairs],
            "length": [len(prompt) + max(len(chosen), len(rejected)) for prompt, chosen, rejected in pairs],
        }
    )


TRAINERS = {"rrhf": _rrhf, "dpo": _dpo}
