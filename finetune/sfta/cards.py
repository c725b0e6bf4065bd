"""The model card of a training: what was trained on what, how to do it again, and what came out."""

from __future__ import annotations

import platform
import re
from collections.abc import Mapping, Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING

import yaml

if TYPE_CHECKING:
    from finetune.sfta.logs import LogRow
    from finetune.sfta.runs import Run

PACKAGES = ("diffagent-tools", "torch", "transformers", "trl", "peft", "accelerate", "datasets", "tokenizers")
SHOWN_LOSSES = 12
HEAD = re.compile(r"---\n(.*?)\n---\n", re.DOTALL)
"""What the hub reads of a card, in YAML."""
EXPORTED = "\n## Export\n"


def write_card(folder: Path, run: Run, log: Sequence[LogRow], rows: Mapping[str, int]) -> None:
    """Write `README.md` into a model's folder.

    Args:
        folder: Folder of the model.
        run: The training.
        log: Its losses.
        rows: Number of rows of each kind of data.
    """
    settings = run.settings
    values = settings.model_dump(mode="json", exclude_none=True)
    head = {
        "library_name": "peft" if settings.lora else "transformers",
        # A folder on somebody's disk says nothing to whoever reads the card.
        **({} if Path(settings.model).exists() else {"base_model": settings.model}),
        "pipeline_tag": "text-generation",
        "tags": ["diffagent", "tool-calling", run.stage, *([] if settings.lora is None else ["lora"])],
    }
    data = "\n".join(
        f"| {name} | {values[name]} | {rows[name]:,} | `{digest}` |" for name, digest in run.data_sha256.items()
    )
    last = log[-1] if log else None
    spent = "" if last is None else f"{last.tokens:,} tokens in {last.seconds:,.0f} s of training."
    folder.joinpath("README.md").write_text(
        f"""---
{yaml.safe_dump(head, sort_keys=False).strip()}
---
# Planner after `{run.stage}`

Writes calls of text-to-image models. Trained with DiffAgent; `{settings.model}` is what it started from.

## Do it again
Save these settings as `{run.stage}.yaml`, then:

```
diffagent-train {run.stage} {run.stage}.yaml
```

```yaml
{yaml.safe_dump(values, sort_keys=False).strip()}
```

## Data
| | file | rows | SHA-256 |
| --- | --- | --- | --- |
{data}

## Losses
{spent}

| step | loss | evaluation |
| --- | --- | --- |
{_losses(log)}

## Versions
{_versions()}
""",
        encoding="utf-8",
    )


def exported_card(card: str, dtype: str, *, merged: bool) -> str:
    """The card of a training as that of the folder that is served.

    Args:
        card: As it stands beside the trained model.
        dtype: Of the weights written.
        merged: Whether an adapter was merged into them; then nobody needs peft any more.
    """
    card = card.partition(EXPORTED)[0]
    head = HEAD.match(card)
    try:
        told = yaml.safe_load(head[1]) if head else None
    except yaml.YAMLError:
        # Whoever wrote this card did not write it for the hub.
        told = None
    if merged and head and isinstance(told, dict):
        kept = [tag for tag in told.get("tags") or () if tag not in ("lora", "peft")]
        told = {**told, "library_name": "transformers", "tags": kept}
        card = f"---\n{yaml.safe_dump(told, sort_keys=False).strip()}\n---\n{card[head.end() :]}"
    what = "The adapter is merged into the weights of the model that it was trained on" if merged else "Whole weights"
    return f"{card.rstrip()}\n{EXPORTED}{what}, in {dtype}; `serving.json` says how vLLM serves them.\n"


def _losses(log: Sequence[LogRow]) -> str:
    """Rows of the table of losses: the first, the last, and some between."""
    merged: dict[int, tuple[float | None, float | None]] = {}
    for row in log:
        loss, evaluation = merged.get(row.step, (None, None))
        merged[row.step] = (row.loss if row.loss is not None else loss, row.eval_loss or evaluation)
    steps = sorted(merged)
    if len(steps) > SHOWN_LOSSES:
        places = {round(place * (len(steps) - 1) / (SHOWN_LOSSES - 1)) for place in range(SHOWN_LOSSES)}
        steps = [steps[place] for place in sorted(places)]
    return "\n".join(f"| {step} | {_number(merged[step][0])} | {_number(merged[step][1])} |" for step in steps)


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.4f}"


def _versions() -> str:
    lines = [f"- python {platform.python_version()}"]
    for package in PACKAGES:
        try:
            lines.append(f"- {package} {version(package)}")
        except PackageNotFoundError:
            continue
    return "\n".join(lines)
