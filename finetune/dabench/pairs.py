"""The pair: what a person says and the call that answers it; and the folder that a data set of them lies in."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from contextlib import ExitStack
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Final

from pydantic import BaseModel, ConfigDict, Field, JsonValue, TypeAdapter, ValidationError, field_validator

from diffagent_tools.devices import require
from tool_specs.calls import parse_call
from tool_specs.exceptions import CallError, ConfigError
from tool_specs.validation import one_line, shown
from tool_specs.whole_files import written_whole

if TYPE_CHECKING:
    import pyarrow

SPLITS: Final = ("train", "dev", "test", "unseen", "time")
"""The splits that a build makes, in the order in which they are listed; others may be there as well."""

TRAINING: Final = "train"
"""The split that may be learned from."""

MAX_INSTRUCTION: Final = 2000
CARD: Final = "README.md"


class Pair(BaseModel):
    """An instruction and its gold call."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    id: str = Field(min_length=1, max_length=200)
    """Unique within a data set."""
    instruction: str = Field(min_length=1, max_length=MAX_INSTRUCTION)
    """What a person says."""
    reference: str = Field(default="", max_length=MAX_INSTRUCTION)
    """The plain text that a picture is judged by; empty when nothing can be drawn."""
    call: dict[str, JsonValue] | None = None
    """The gold call as JSON of `tool_specs.calls.Call`; None where nothing can draw it and declining is right."""
    split: str = Field(pattern=r"^[A-Za-z0-9_]{1,60}$")
    source: str = ""
    """Id of the evidence that it was made from."""
    created: date | None = None
    """When its newest model was published; None where that is unknown."""
    wording: str = ""
    """How the instruction was written: a free label."""

    @field_validator("call")
    @classmethod
    def _valid(cls, call: dict[str, JsonValue] | None) -> dict[str, JsonValue] | None:
        try:
            return None if call is None else parse_call(call).model_dump(mode="json")
        except CallError as error:
            raise ValueError(str(error)) from None

    @property
    def models(self) -> tuple[str, ...]:
        """The spec ids of the gold call, the checkpoint's first; none where declining is right."""
        if self.call is None:
            return ()
        call = parse_call(self.call)
        return call.checkpoint, *(use.id for use in call.loras)


_PAIRS: Final = TypeAdapter(list[Pair])


def write_pairs(folder: Path, pairs: Iterable[Pair], *, card: str) -> None:
    """Write a data set that `datasets.load_dataset(str(folder))` opens: `SPLIT.parquet` for each split, and a card.

    Args:
        folder: Where to; made where it does not exist. Splits of the same name are replaced, all or none: what was
            interrupted in between cannot be read.
        pairs: All pairs of all splits.
        card: The data set's card as Markdown; the head that names the splits is put before it.

    Raises:
        ConfigError: Two pairs have one id, the folder holds a split that is not among these, pyarrow is missing, or the
            folder cannot be written to.
    """
    require("pyarrow", extra="finetune")
    from pyarrow import parquet

    splits: dict[str, list[Pair]] = {}
    ids: set[str] = set()
    for pair in pairs:
        if pair.id in ids:
            msg = f"two pairs have the id {pair.id!r}; give each its own"
            raise ConfigError(msg)
        ids.add(pair.id)
        splits.setdefault(pair.split, []).append(pair)
    names = in_order(splits)
    if stale := {path.stem for path in folder.glob("*.parquet")} - set(names):
        msg = f"{folder} holds the split {min(stale)!r} of another data set; take it away, or choose another folder"
        raise ConfigError(msg)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        # The files take their places together at the end, the card's last: a folder without one is no whole data set.
        with ExitStack() as together:
            partial = together.enter_context(written_whole(folder / CARD))
            partial.write_text(_head(names) + card.strip() + "\n", encoding="utf-8")
            for name in reversed(names):
                partial = together.enter_context(written_whole(folder / f"{name}.parquet"))
                parquet.write_table(_table(splits[name]), partial, compression="zstd")
            (folder / CARD).unlink(missing_ok=True)
    except OSError as error:
        msg = f"{folder} cannot be written to ({error.strerror or error}); choose another folder"
        raise ConfigError(msg) from error


def in_order(names: Iterable[str]) -> list[str]:
    """Names of splits, those of `SPLITS` first."""
    given = set(names)
    return [*(name for name in SPLITS if name in given), *sorted(given - set(SPLITS))]


def splits_in(folder: Path) -> list[str]:
    """The splits of a data set, those of `SPLITS` first.

    Raises:
        ConfigError: There is no data set.
    """
    there = sorted(path.stem for path in folder.glob("*.parquet"))
    if not there:
        msg = f"there are no pairs in {folder}; make some with `diffagent-train dabench build`"
        raise ConfigError(msg)
    return in_order(there)


def read_pairs(folder: Path, split: str) -> list[Pair]:
    """Read one split.

    Args:
        folder: What `write_pairs` wrote.
        split: Name of a split.

    Raises:
        ConfigError: There is no such split, the data set is not whole, the file is damaged, or pyarrow is missing.
    """
    require("pyarrow", extra="finetune")
    import pyarrow
    from pyarrow import parquet

    path = folder / f"{split}.parquet"
    if not path.is_file():
        msg = f"there is no split {shown(split)} in {folder}; use one of {', '.join(splits_in(folder))}"
        raise ConfigError(msg)
    if not (folder / CARD).is_file():
        msg = f"{folder} has no {CARD}: it was not written to the end; build the data set again"
        raise ConfigError(msg)
    try:
        # `ParquetFile` and not `read_table`, which takes the folders of the path for columns.
        rows = parquet.ParquetFile(path).read().to_pylist()
        for row in rows:
            row["call"] = None if row.get("call") is None else json.loads(row["call"])
        return _PAIRS.validate_python(rows)
    except ValidationError as error:
        msg = f"{path} holds what is no pair: {one_line(error)}; build the data set again"
        raise ConfigError(msg) from error
    except (pyarrow.ArrowException, OSError, ValueError, TypeError) as error:
        msg = f"{path} is damaged ({str(error).splitlines()[0][:200]}); build the data set again"
        raise ConfigError(msg) from error


def _table(pairs: Sequence[Pair]) -> pyarrow.Table:
    import pyarrow

    text = pyarrow.string()
    schema = pyarrow.schema(
        [
            pyarrow.field("id", text, nullable=False),
            pyarrow.field("instruction", text, nullable=False),
            pyarrow.field("reference", text, nullable=False),
            pyarrow.field("call", text),
            pyarrow.field("split", text, nullable=False),
            pyarrow.field("source", text, nullable=False),
            pyarrow.field("created", pyarrow.date32()),
            pyarrow.field("wording", text, nullable=False),
        ]
    )
    rows = [pair.model_dump() for pair in pairs]
    for row in rows:
        row["call"] = None if row["call"] is None else json.dumps(row["call"], ensure_ascii=False)
    return pyarrow.Table.from_pylist(rows, schema=schema)


def _head(splits: Sequence[str]) -> str:
    """What the `datasets` library reads in a card: which file is which split."""
    lines = [f"      - split: {name}\n        path: {name}.parquet\n" for name in splits]
    return f"---\nconfigs:\n  - config_name: default\n    data_files:\n{''.join(lines)}---\n\n"
