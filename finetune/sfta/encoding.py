"""Rows as tokens: the prompt and what may follow it are tokenised apart, as in serving, and nothing is ever cut."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypeVar

from pydantic import BaseModel, ConfigDict, Field, FiniteFloat, ValidationError, model_validator

from diffagent_tools.chat_models.template_variables import TemplateVariables
from tool_specs.exceptions import ConfigError
from tool_specs.validation import one_line

if TYPE_CHECKING:
    from typing import Self

    from transformers import PreTrainedTokenizerBase

Row = TypeVar("Row", bound=BaseModel)

_CHUNK = 1000


class SampleRow(BaseModel):
    """A prompt with the answer to learn, both in the words of the model's chat template."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    id: str
    prompt: str = Field(min_length=1)
    completion: str = Field(min_length=1)
    template: TemplateVariables | None = None
    """Variables of the template that it was rendered with; null where they are those of the model that is trained."""


class RankingRow(BaseModel):
    """A prompt with several answers and the reward of each."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    id: str
    prompt: str = Field(min_length=1)
    responses: list[Annotated[str, Field(min_length=1)]] = Field(min_length=1)
    rewards: list[FiniteFloat]
    sources: list[str] = []
    """Where each response comes from, for people; nothing is learned from it."""
    template: TemplateVariables | None = None
    """As in `SampleRow`."""

    @model_validator(mode="after")
    def _as_many_rewards(self) -> Self:
        if len(self.responses) != len(self.rewards):
            msg = f"{len(self.responses)} responses but {len(self.rewards)} rewards"
            raise ValueError(msg)
        return self


class _Worded(BaseModel):
    """What rows of both kinds tell of their template."""

    id: str
    template: TemplateVariables | None = None


def read_rows(path: Path, kind: type[Row]) -> list[Row]:
    """All rows of a file.

    Args:
        path: JSON lines.
        kind: What a row is.

    Raises:
        ConfigError: The file cannot be read, is empty, or a line of it is no such row.
    """
    rows = []
    try:
        with path.open(encoding="utf-8") as lines:
            for number, line in enumerate(lines, 1):
                try:
                    rows.append(kind.model_validate_json(line))
                except ValidationError as error:
                    msg = f"line {number} of {path} is no {kind.__name__}: {one_line(error)}; take it out or mend it"
                    raise ConfigError(msg) from error
    except (OSError, UnicodeDecodeError) as error:
        msg = f"the data {path} cannot be read ({error}); name a JSON lines file"
        raise ConfigError(msg) from error
    if not rows:
        msg = f"the data {path} are empty; one JSON object a line is expected: {json.dumps(list(kind.model_fields))}"
        raise ConfigError(msg)
    return rows


def template_of(files: Iterable[Path]) -> TemplateVariables | None:
    """The variables of the chat template that the rows of files were rendered with; None where no row tells.

    Raises:
        ConfigError: A file cannot be used, or rows tell different ones.
    """
    told = [row for path in files for row in read_rows(path, _Worded) if row.template is not None]
    for row in told:
        if row.template != told[0].template:
            msg = (
                f"the row {told[0].id!r} was rendered with the template variables {told[0].template} and {row.id!r} "
                f"with {row.template}; a model is served with one choice: make the rows anew with the same `template`"
            )
            raise ConfigError(msg)
    return told[0].template if told else None


def file_sha256(path: Path) -> str:
    """SHA-256 of a file, in hexadecimal.

    Raises:
        ConfigError: The file cannot be read.
    """
    try:
        with path.open("rb") as stream:
            return hashlib.file_digest(stream, "sha256").hexdigest()
    except OSError as error:
        msg = f"the data {path} cannot be read ({error.strerror or error}); name a JSON lines file"
        raise ConfigError(msg) from error


def tokenise(texts: Sequence[str], tokenizer: PreTrainedTokenizerBase) -> list[list[int]]:
    """Token ids of texts that hold the template's special tokens already; none are added."""
    tokens: list[list[int]] = []
    for start in range(0, len(texts), _CHUNK):
        batch = tokenizer(list(texts[start : start + _CHUNK]), add_special_tokens=False, return_attention_mask=False)
        tokens += batch["input_ids"]
    return tokens


def check_lengths(ids: Sequence[str], lengths: Sequence[int], max_length: int, path: Path) -> None:
    """Refuse data with samples that are too long, rather than cut them.

    Args:
        ids: Id of each sample, or of the row it is from.
        lengths: Tokens of each, prompt and answer together.
        max_length: Most tokens.
        path: File that they are from.

    Raises:
        ConfigError: At least one is longer.
    """
    long = [name for name, length in zip(ids, lengths, strict=True) if length > max_length]
    if long:
        msg = (
            f"{len(long)} of {len(ids)} samples in {path} are longer than max_length={max_length} tokens, the longest "
            f"has {max(lengths)} (first: {long[0]!r}); raise max_length or take them out"
        )
        raise ConfigError(msg)
