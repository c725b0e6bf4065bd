"""The lines of `log.jsonl`: losses as they were, one JSON object a line."""

from __future__ import annotations

from pathlib import Path

from pydantic import BaseModel, ConfigDict

from finetune.json_lines import JsonLines


class LogRow(BaseModel):
    """One line; further numbers of a stage follow by name.

    Attributes:
        step: Steps of the optimiser so far.
        epoch: Passes over the data so far.
        loss: Mean since the last line; None on a line of an evaluation.
        lr: Learning rate of this step.
        tokens: Tokens seen so far, padding not counted.
        seconds: Time trained so far, all resumed runs together.
        eval_loss: Loss on `eval_data`.
    """

    model_config = ConfigDict(extra="allow", frozen=True)

    step: int
    epoch: float
    loss: float | None = None
    lr: float | None = None
    tokens: int
    seconds: float
    eval_loss: float | None = None


def read_log(path: Path) -> list[LogRow]:
    """All lines of a log; [] where there is none.

    Raises:
        ConfigError: The file cannot be read, or a line in it is none of a log.
    """
    return JsonLines(path, LogRow).read()
