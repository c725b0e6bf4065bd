"""Watches a training: writes its losses down, shows progress on stderr, and on Ctrl-C saves before it stops."""

from __future__ import annotations

import signal
import threading
import time
from pathlib import Path
from types import FrameType, TracebackType
from typing import TYPE_CHECKING

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn
from transformers import TrainerCallback

from finetune.json_lines import JsonLines
from finetune.sfta.logs import LogRow, read_log
from tool_specs.whole_files import write_whole

if TYPE_CHECKING:
    from typing import Self

    from transformers import TrainerControl, TrainerState, TrainingArguments

RENAMED = {"learning_rate": "lr"}
LEFT_OUT = frozenset({"epoch", "num_tokens", "num_input_tokens_seen", "total_flos"})


class AlreadyTrained(Exception):  # noqa: N818 - not an error
    """The checkpoint that is resumed is that of the last step: there is nothing left to train."""


class TrainingWatch(TrainerCallback):
    """Follows one training in one process.

    A first Ctrl-C ends it after the step, with a checkpoint; a second one ends it at once. Of several processes none
    listens: they would stop at different steps, so that Ctrl-C ends all at once and the last checkpoint counts.

    Args:
        path: Where the log goes; a resumed run continues it, less what came after its checkpoint.
        resumed_step: Step of the checkpoint that is resumed; 0 without one.
        title: Shown before the bar.
        alone: Whether this is the only process.
    """

    def __init__(self, path: Path, resumed_step: int, title: str, *, alone: bool = True) -> None:
        self.rows = [row for row in read_log(path) if row.step <= resumed_step]
        self.interrupted = False
        self._path = path
        self._lines = JsonLines(path, LogRow)
        self._spent = self.rows[-1].seconds if self.rows else 0.0
        self._started = 0.0
        self._title = title
        self._listens = alone and threading.current_thread() is threading.main_thread()
        self._handler: object = None
        self._task: TaskID | None = None
        self._bar = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeRemainingColumn(),
            TextColumn("{task.fields[losses]}"),
            console=Console(stderr=True),
            refresh_per_second=2,
        )

    def __enter__(self) -> Self:
        """Listen for Ctrl-C."""
        if self._listens:
            self._handler = signal.signal(signal.SIGINT, self._interrupt)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Listen no more, and leave the bar as it is."""
        self._bar.stop()
        if self._listens:
            signal.signal(signal.SIGINT, self._handler)  # type: ignore[arg-type]

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, _control: TrainerControl, **_others: object
    ) -> None:
        """Begin the log, or go on with it, and draw the bar.

        Raises:
            AlreadyTrained: The Trainer would train one step more, whatever the checkpoint says.
        """
        self._started = time.perf_counter()
        # The checkpoint's own numbers of steps between saves, evaluations and log lines would count else.
        state.compute_steps(args, state.max_steps)
        if state.global_step >= state.max_steps:
            raise AlreadyTrained
        if not state.is_world_process_zero:
            return
        kept = "".join(row.model_dump_json() + "\n" for row in self.rows)
        write_whole(self._path, kept)
        self._bar.start()
        self._task = self._bar.add_task(
            self._title, total=state.max_steps, completed=state.global_step, losses=self._losses()
        )

    def on_step_end(
        self, _args: TrainingArguments, state: TrainerState, control: TrainerControl, **_others: object
    ) -> None:
        """Move the bar; save and stop where somebody asked for it."""
        if self._task is not None:
            self._bar.update(self._task, completed=state.global_step)
        if self.interrupted:
            control.should_save = control.should_training_stop = True

    def on_log(
        self,
        _args: TrainingArguments,
        state: TrainerState,
        _control: TrainerControl,
        logs: dict[str, float] | None = None,
        **_others: object,
    ) -> None:
        """Write a line; the summary at the end is none."""
        if not state.is_world_process_zero or logs is None or not {"loss", "eval_loss"} & logs.keys():
            return
        numbers = {
            RENAMED.get(key, key): float(f"{value:.6g}")
            for key, value in logs.items()
            if key not in LEFT_OUT and not key.endswith(("_runtime", "_per_second"))
        }
        row = LogRow.model_validate(
            {
                "step": state.global_step,
                "epoch": round(state.epoch or 0.0, 4),
                "tokens": int(state.num_input_tokens_seen),
                "seconds": round(self._spent + time.perf_counter() - self._started, 3),
                **numbers,
            }
        )
        self.rows.append(row)
        self._lines.append(row)
        if self._task is not None:
            self._bar.update(self._task, losses=self._losses())

    def _interrupt(self, _signum: int, _frame: FrameType | None) -> None:
        if self.interrupted:
            raise KeyboardInterrupt
        self.interrupted = True
        self._bar.console.print("saving a checkpoint; press Ctrl-C again to stop without it")

    def _losses(self) -> str:
        """The last loss of each kind, and the speed."""
        loss = next((row.loss for row in reversed(self.rows) if row.loss is not None), None)
        evaluated = next((row.eval_loss for row in reversed(self.rows) if row.eval_loss is not None), None)
        parts = ["" if loss is None else f"loss {loss:.4g}", "" if evaluated is None else f"eval {evaluated:.4g}"]
        if self.rows and self.rows[-1].seconds:
            parts.append(f"{self.rows[-1].tokens / self.rows[-1].seconds:,.0f} tokens/s")
        return " · ".join(part for part in parts if part)
