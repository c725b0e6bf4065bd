"""What a call is drawn with: its models as specs, checked to fit together before anything is written."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath
from types import MappingProxyType
from typing import Final

from tool_specs.calls import Call
from tool_specs.catalog import AnyCatalog
from tool_specs.compatibility import compatible
from tool_specs.embedding_words import embedding_word
from tool_specs.exceptions import CallError, CatalogError
from tool_specs.spec import ToolSpec

_SPOKEN: Final[Mapping[str, str]] = MappingProxyType(
    {"hires": "hires fix", "variation": "variation seed", "tiling": "tiling"}
)
"""Fields of a call that not every export can write, in A1111's words."""


@dataclass(frozen=True, slots=True)
class Lora:
    """A LoRA, LoCon or DoRA of a call and its weight."""

    spec: ToolSpec
    weight: float


@dataclass(frozen=True, slots=True)
class Embedding:
    """A textual inversion of a call, and the word of its prompts that calls it."""

    spec: ToolSpec
    word: str


@dataclass(frozen=True, slots=True)
class Ingredients:
    """The models of a call."""

    checkpoint: ToolSpec
    loras: tuple[Lora, ...]
    embeddings: tuple[Embedding, ...]

    @property
    def specs(self) -> tuple[ToolSpec, ...]:
        """All of them, the checkpoint first."""
        return (self.checkpoint, *(lora.spec for lora in self.loras), *(one.spec for one in self.embeddings))


def ingredients(call: Call, catalog: AnyCatalog) -> Ingredients:
    """Look the models of a call up.

    Raises:
        CallError: One of them is unknown, is of another kind than its place in the call says, or does not fit.
    """
    checkpoint = _spec(call.checkpoint, catalog)
    if not checkpoint.is_checkpoint:
        msg = f"{checkpoint.id} is a {checkpoint.type}; a call draws with a Checkpoint"
        raise CallError(msg)
    if call.family != checkpoint.family:
        msg = f"the call is for {call.family!r}, but {checkpoint.id} is {checkpoint.family!r}; use that family's call"
        raise CallError(msg)
    loras, embeddings = [], []
    for use in call.loras:
        network = _spec(use.id, catalog)
        fit = compatible(network, checkpoint)
        if not fit.ok:
            msg = f"{network.id} does not load into {checkpoint.id}: {fit.reason}"
            raise CallError(msg)
        if network.type == "VAE":
            msg = f"no export can write {network.id}, a VAE of its own; leave it out"
            raise CallError(msg)
        if network.type == "TextualInversion":
            embeddings.append(Embedding(network, embedding_word(network, PurePosixPath(file_name(network)).stem, call)))
        else:
            loras.append(Lora(network, use.weight))
    return Ingredients(checkpoint, tuple(loras), tuple(embeddings))


def refuse(call: Call, form: str, *fields: str) -> None:
    """See that a call leaves fields out that an export cannot write.

    Args:
        call: What is exported.
        form: Name of the export.
        fields: Out of "hires", "variation" and "tiling".

    Raises:
        CallError: It has one of them.
    """
    for field in fields:
        if getattr(call, field):
            msg = (
                f"the {form} export cannot write the {_SPOKEN[field]} of a {call.family} call; leave {field} out, "
                "or use a1111"
            )
            raise CallError(msg)


def file_name(spec: ToolSpec) -> str:
    """The bare name of a spec's weights file, whatever folders a stranger has put before it.

    Raises:
        CallError: The catalog knows no weights file of it that has a name.
    """
    name = PurePosixPath(spec.primary_file.name.replace("\\", "/")).name if spec.primary_file else ""
    if not name or name == "..":
        msg = f"the catalog knows no weights file of {spec.id} ({spec.model_name!r}); choose another version"
        raise CallError(msg)
    return name


def _spec(spec_id: str, catalog: AnyCatalog) -> ToolSpec:
    try:
        return catalog.get(spec_id)
    except CatalogError as error:
        raise CallError(str(error)) from error
