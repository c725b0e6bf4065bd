"""What every training has: its settings, and its folder with a record of them."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from finetune.sfta.encoding import file_sha256
from finetune.sfta.export import cached_commit, fingerprint
from tool_specs.exceptions import ConfigError
from tool_specs.whole_files import write_whole

CHECKPOINT = re.compile(r"checkpoint-(\d+)")
FREE_TO_CHANGE = frozenset({"save_steps", "log_steps", "eval_steps"})
"""Settings that a resumed run may have other than the run it resumes."""


class LoraSettings(BaseModel):
    """A low-rank adapter (Hu et al. 2021) instead of new weights."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    rank: int = Field(default=16, gt=0)
    alpha: float = Field(default=32, gt=0)
    """The adapter's output is scaled by alpha / rank."""
    dropout: float = Field(default=0.0, ge=0, lt=1)
    target_modules: list[str] | Literal["all-linear"] = "all-linear"
    """Names of the layers that get an adapter; "all-linear": every one but the output head."""


class TrainingSettings(BaseModel):
    """What both stages take."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    model: str
    """A folder with weights and tokenizer, or the name of a model on the hub."""
    data: Path
    eval_data: Path | None = None
    """Rows of the same form that are not trained on; their loss is logged."""
    out: Path
    """Folder of the run: `log.jsonl`, checkpoints, and at the end `model/`."""
    lora: LoraSettings | None = None
    """Train an adapter; null trains all weights."""
    epochs: float = Field(default=1.0, gt=0)
    max_steps: int | None = Field(default=None, gt=0)
    """Steps of the optimiser; where given, the epochs do not count."""
    learning_rate: float = Field(default=2e-5, gt=0)
    scheduler: Literal["cosine", "linear", "constant"] = "cosine"
    warmup: float = Field(default=0.03, ge=0)
    """Steps in which the learning rate rises from 0: below 1 a share of all steps, else their number."""
    weight_decay: float = Field(default=0.0, ge=0)
    batch_size: int = Field(default=8, gt=0)
    """Rows that go through the model at once, in each process."""
    grad_accumulation: int = Field(default=1, gt=0)
    """Batches to one step of the optimiser."""
    max_length: int = Field(default=4096, gt=1)
    """Most tokens of a sample; longer ones are an error."""
    bf16: bool | Literal["auto"] = "auto"
    """Compute in bfloat16 under autocast; "auto": where CUDA has it, or the CPU multiplies it in hardware (AMX)."""
    gradient_checkpointing: bool = False
    """Compute activations twice instead of keeping them: less memory, about a third slower."""
    seed: int = 0
    save_steps: int = Field(default=200, gt=0)
    eval_steps: int = Field(default=200, gt=0)
    log_steps: int = Field(default=10, gt=0)


class Run:
    """The folder of a training.

    Args:
        stage: What is done: "sft" or "align".
        settings: Its settings.
    """

    def __init__(self, stage: str, settings: TrainingSettings) -> None:
        self.stage = stage
        self.settings = settings
        self.folder = settings.out
        self.log = self.folder / "log.jsonl"
        self.model = self.folder / "model"
        self._record = self.folder / "run.json"
        self.data_sha256 = {
            name: file_sha256(path) for name in ("data", "eval_data") if (path := getattr(settings, name)) is not None
        }

    @property
    def finished(self) -> bool:
        """Whether the trained model is there; it comes last, and whole."""
        return self.model.is_dir()

    def open(self, *, processes: int = 1) -> Path | None:
        """Make the folder, or recognise it.

        Args:
            processes: That train together: their number decides which rows make a batch.

        Returns:
            The checkpoint to go on from, if there is one.

        Raises:
            ConfigError: The folder is another run's, or cannot be written to.
            WeightsError: The model's folder has no safetensors files.
        """
        local = Path(self.settings.model).is_dir()
        told = {
            "stage": self.stage,
            "settings": self.settings.model_dump(mode="json", exclude={"out"}),
            "sha256": self.data_sha256,
            "weights": fingerprint(self.settings.model) if local else None,
            "commit": None if local else cached_commit(self.settings.model),
            "processes": processes,
        }
        try:
            if self._record.exists():
                self._check_same(json.loads(self._record.read_text(encoding="utf-8")), told)
                return self._last_checkpoint()
            self.folder.mkdir(parents=True, exist_ok=True)
            if any(self.folder.iterdir()):
                msg = f"{self.folder} holds other files than a training; choose a new or empty folder for out"
                raise ConfigError(msg)
            write_whole(self._record, json.dumps(told, indent=2) + "\n")
        except (OSError, ValueError) as error:
            msg = f"the folder of the training {self.folder} cannot be used ({error}); choose another for out"
            raise ConfigError(msg) from error
        return None

    def remove_checkpoints(self) -> None:
        """Free the space of the checkpoints of a training that is finished."""
        for folder in self.folder.iterdir():
            if CHECKPOINT.fullmatch(folder.name):
                shutil.rmtree(folder)

    def _check_same(self, found: Mapping[str, object], told: Mapping[str, object]) -> None:
        """Refuse to go on with other settings or data than those of the run."""
        if found["stage"] != told["stage"]:
            msg = f"{self.folder} is the folder of another stage ({found['stage']!r}); choose another folder for out"
            raise ConfigError(msg)
        before, now = found["settings"], told["settings"]
        assert isinstance(before, dict)
        assert isinstance(now, dict)
        changed = [key for key in before | now if key not in FREE_TO_CHANGE and before.get(key) != now.get(key)]
        said = [f"{key}={before.get(key)!r}, not {now.get(key)!r}" for key in changed]
        if found["sha256"] != told["sha256"]:
            said.append("other data in the same files")
        if found.get("weights") not in (None, told["weights"]):
            said.append(f"other weights in {self.settings.model}")
        if found.get("commit") not in (None, told["commit"]):
            said.append(f"commit {found['commit']} of {self.settings.model}, not {told['commit']}")
        if not self.finished and (processes := found.get("processes")) not in (None, told["processes"]):
            again = f"`accelerate launch --num_processes {processes}` goes on with it"
            said.append(f"{processes} processes, not {told['processes']} ({again})")
        if said:
            msg = f"{self.folder} began with {'; '.join(said)}: choose another folder for out, or remove this one"
            raise ConfigError(msg)

    def _last_checkpoint(self) -> Path | None:
        """The newest checkpoint that was written to its end; those that were not are removed."""
        names = [CHECKPOINT.fullmatch(folder.name) for folder in self.folder.iterdir()]
        for step in sorted((int(name[1]) for name in names if name), reverse=True):
            folder = self.folder / f"checkpoint-{step}"
            try:
                # The Trainer writes this file after all others.
                json.loads((folder / "trainer_state.json").read_text(encoding="utf-8"))
            except (OSError, ValueError):
                shutil.rmtree(folder)
            else:
                return folder
        return None
