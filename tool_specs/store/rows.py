"""What goes into the stored catalog and comes out of it, beside the specs themselves."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Literal, Self

from tool_specs.spec import ToolSpec

Origin = Literal["local", "rows", "dump", "api"]
"""Where a spec was read, in rising order of trust.

A spec of a lower origin never replaces one of a higher; of the same origin the later replaces the earlier.
"""

ORIGINS: Final[tuple[Origin, ...]] = ("local", "rows", "dump", "api")


@dataclass(frozen=True, slots=True)
class Use:
    """One model that took part in drawing a picture."""

    model_id: int
    version_id: int | None
    """None where only the model is known."""
    weight: float | None
    """Weight of a network; None for checkpoints and where it is unknown."""


@dataclass(frozen=True, slots=True)
class Evidence:
    """What somebody asked for, and the models that drew it."""

    text: str
    """A plain request of at most 2,000 characters."""
    uses: tuple[Use, ...]
    call: Mapping[str, object]
    """The parameters as they were found, as JSON values: prompt, sampler, steps, …"""
    id: str = ""
    """What the source calls it."""


@dataclass(frozen=True, slots=True)
class Counts:
    """What became of the items of one write; they add up to the items given."""

    added: int = 0
    changed: int = 0
    unchanged: int = 0
    """The same content, or a better origin, was there already."""

    def __add__(self, other: Self) -> Self:
        return type(self)(self.added + other.added, self.changed + other.changed, self.unchanged + other.unchanged)


@dataclass(frozen=True, slots=True)
class LocalFile:
    """A weights file on this disk, as it was when it was last read."""

    path: str
    """Absolute; bytes that are no text are kept as `os.fsdecode` writes them."""
    size: int
    """Bytes."""
    mtime_ns: int
    sha256: str
    spec_id: str
    """The spec that it holds the weights of."""


@dataclass(frozen=True, slots=True)
class Totals:
    """How much a catalog holds."""

    specs: int
    models: int
    checkpoints: int
    networks: int
    evidence: int
    set_aside: int
    local_files: int


@dataclass(frozen=True, slots=True)
class SpecChange:
    """A spec as its last change left it."""

    seq: int
    """When: the `version` of the catalog that the change led to, or one before it in the same transaction."""
    spec_id: str
    spec: ToolSpec | None
    """None where the spec was removed."""
    number: int
    """Of the row: small, and the same for as long as the catalog lives."""


@dataclass(frozen=True, slots=True)
class EvidenceChange:
    """A piece of evidence as its last change left it."""

    seq: int
    number: int
    """Of the row: small, and the same for as long as the catalog lives."""
    text: str
    uses: tuple[Use, ...]
