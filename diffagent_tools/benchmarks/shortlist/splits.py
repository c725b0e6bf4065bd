"""What is asked: the requests of the two splits, with the models that really drew them."""

from __future__ import annotations

import gzip
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

from tool_specs.exceptions import ConfigError
from tool_specs.ranking.documents import CHECKPOINT, NETWORK

Kind = Literal["Checkpoint", "LORA"]
KINDS: Final[Mapping[Kind, int]] = {"Checkpoint": CHECKPOINT, "LORA": NETWORK}
_TYPES: Final[Mapping[Kind, frozenset[str]]] = {
    "Checkpoint": frozenset({"Checkpoint"}),
    "LORA": frozenset({"LORA", "LoCon", "TextualInversion"}),
}
_SPLITS: Final = (("dev", "pairs-dev.jsonl.gz", ""), ("unseen-dev", "pairs-unseen-dev.jsonl.gz", "unseen_models.json"))
"""Name, pairs, and the models that alone count; empty where all do."""
_NEEDED: Final = (
    "models.jsonl.gz", "pairs-train.jsonl.gz", *(name for split in _SPLITS for name in split[1:] if name),
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Asked:
    """A request.

    Attributes:
        text: What was asked for.
        gold: Ids of the models of one kind that drew it; at least one.
    """

    text: str
    gold: frozenset[int]


@dataclass(frozen=True, slots=True)
class Task:
    """The requests of a split that models of one kind drew."""

    split: str
    kind: Kind
    asked: tuple[Asked, ...]


def data_folder() -> Path:
    """The folder of real pairs and models, which is not part of the repository.

    Raises:
        ConfigError: It is not there, or holds not all of it.
    """
    folder = Path(os.environ.get("DIFFAGENT_SHARED") or "../shared") / "data"
    missing = [name for name in _NEEDED if not (folder / name).is_file()]
    if missing:
        msg = f"no {missing[0]} in {folder}: set DIFFAGENT_SHARED to the folder whose data/ holds {', '.join(_NEEDED)}"
        raise ConfigError(msg)
    return folder


def read_tasks(folder: Path) -> list[Task]:
    """Every split for every kind."""
    tasks = []
    for split, pairs, only in _SPLITS:
        counted = frozenset(json.loads((folder / only).read_text(encoding="utf-8"))) if only else None
        with gzip.open(folder / pairs, "rt", encoding="utf-8") as lines:
            read = [json.loads(line) for line in lines]
        for kind, types in _TYPES.items():
            asked = [Asked(pair["text"], gold_of(pair["gold"], types, counted)) for pair in read]
            tasks.append(Task(split, kind, tuple(one for one in asked if one.gold)))
    return tasks


def gold_of(entries: list[dict[str, object]], types: frozenset[str], counted: frozenset[int] | None) -> frozenset[int]:
    """The models of some types that drew a pair, of those that count."""
    gold = {entry["model_id"] for entry in entries if entry["type"] in types}
    return frozenset(one for one in gold if isinstance(one, int) and (counted is None or one in counted))
