"""One training from its folder to the trained model: arguments of the Trainer, resuming, saving, the card."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")  # read by huggingface_hub when trl imports it

import torch
from accelerate import PartialState

from diffagent_tools.chat_models.template_variables import (
    TemplateVariables,
    record_variables,
    recorded_variables,
)
from diffagent_tools.devices import without_model_bars
from finetune.sfta.cards import write_card
from finetune.sfta.encoding import template_of
from finetune.sfta.export import record_base
from finetune.sfta.models import load_tokenizer, use_bf16
from finetune.sfta.runs import Run
from finetune.sfta.watch import AlreadyTrained, TrainingWatch
from tool_specs.exceptions import ConfigError

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase, Trainer

    from finetune.sfta.logs import LogRow
    from finetune.sfta.runs import TrainingSettings

MAX_GRAD_NORM = 1.0
KEPT_CHECKPOINTS = 2


def trainer_arguments(settings: TrainingSettings) -> dict[str, object]:
    """Arguments that every Trainer gets, by their names in `transformers.TrainingArguments`."""
    return {
        "output_dir": str(settings.out),
        "num_train_epochs": settings.epochs,
        "max_steps": settings.max_steps or -1,
        "learning_rate": settings.learning_rate,
        "lr_scheduler_type": settings.scheduler,
        "warmup_steps": settings.warmup,
        "weight_decay": settings.weight_decay,
        "max_grad_norm": MAX_GRAD_NORM,
        "optim": "adamw_torch_fused",
        "per_device_train_batch_size": settings.batch_size,
        "per_device_eval_batch_size": settings.batch_size,
        "gradient_accumulation_steps": settings.grad_accumulation,
        "activation_checkpointing": settings.gradient_checkpointing,
        "bf16": use_bf16(settings.bf16),
        "use_cpu": not torch.cuda.is_available(),
        "seed": settings.seed,
        "save_strategy": "steps",
        "save_steps": settings.save_steps,
        "save_total_limit": KEPT_CHECKPOINTS,
        "eval_strategy": "no" if settings.eval_data is None else "steps",
        "eval_steps": settings.eval_steps,
        "prediction_loss_only": True,
        "logging_steps": settings.log_steps,
        "logging_first_step": True,
        "logging_nan_inf_filter": False,
        "include_num_input_tokens_seen": "non_padding",
        "dataloader_pin_memory": torch.cuda.is_available(),
        "disable_tqdm": True,
        "report_to": "none",
    }


def train(run: Run, make: Callable[[PreTrainedTokenizerBase], tuple[Trainer, dict[str, int]]]) -> Path:
    """Train from where the run stands to its end; a run that is finished is not done again.

    Args:
        run: The run.
        make: Gets the model's tokenizer; gives the Trainer, built with `trainer_arguments`, and the number of rows of
            each kind of data.

    Returns:
        The folder of the trained model: weights or adapter, tokenizer, the template's variables, and a card.

    Raises:
        ConfigError: The folder is another run's, or cannot be written to; rows were rendered with different variables
            of the template; or there are several GPUs and one process.
        WeightsError: The model has no safetensors files.
        KeyboardInterrupt: Ctrl-C; the checkpoint is saved.
    """
    from transformers import PrinterCallback

    _check_launch()
    # It comes first: from then on, the hub's cache tells which commit of a hub model this is.
    tokenizer = load_tokenizer(run.settings.model)
    # The first process makes the folder before the others look at it.
    state = PartialState(cpu=not torch.cuda.is_available())
    with state.main_process_first():
        checkpoint = run.open(processes=state.num_processes)
    if run.finished:
        return run.model
    trainer, rows = make(tokenizer)
    template = _template(run)
    trainer.remove_callback(PrinterCallback)
    step = 0 if checkpoint is None else json.loads((checkpoint / "trainer_state.json").read_text())["global_step"]
    processes = trainer.accelerator.num_processes
    with TrainingWatch(run.log, step, run.stage, alone=processes == 1) as watch, without_model_bars():
        trainer.add_callback(watch)
        with suppress(AlreadyTrained):
            trainer.train(resume_from_checkpoint=None if checkpoint is None else str(checkpoint))
    if watch.interrupted:
        raise KeyboardInterrupt
    _save(run, trainer, template, watch.rows, rows)
    return run.model


def _check_launch() -> None:
    """Several GPUs need a process each: in one process the batches would be torn apart between them.

    Raises:
        ConfigError: There are several, and this is the only process.
    """
    gpus = torch.cuda.device_count()
    if gpus > 1 and PartialState().num_processes == 1:
        msg = (
            f"there are {gpus} GPUs: start one process for each (`accelerate launch --num_processes {gpus} -m "
            "finetune.cli.main …`), or choose one with CUDA_VISIBLE_DEVICES=0"
        )
        raise ConfigError(msg)


def _template(run: Run) -> TemplateVariables:
    """The variables of the chat template that belong to the model: those of the rows, else those that it had."""
    told = template_of(getattr(run.settings, name) for name in run.data_sha256)
    return (recorded_variables(Path(run.settings.model)) or {}) if told is None else told


def _save(run: Run, trainer: Trainer, template: TemplateVariables, log: Sequence[LogRow], rows: dict[str, int]) -> None:
    """Write the folder of the trained model, whole or not at all."""
    part = run.folder / "model.part"
    with without_model_bars():
        trainer.save_model(str(part))
    trainer.accelerator.wait_for_everyone()
    if trainer.is_world_process_zero():
        (part / "training_args.bin").unlink(missing_ok=True)  # a pickle; the card says the same
        if run.settings.lora is not None:
            record_base(part, run.settings.model)
        record_variables(part, template)
        write_card(part, run, log, rows)
        part.replace(run.model)
        run.remove_checkpoints()
    trainer.accelerator.wait_for_everyone()
