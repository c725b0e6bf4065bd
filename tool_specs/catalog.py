"""The catalog: the tool specs that can be searched and called."""

from __future__ import annotations

import logging
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping
from typing import Self

from tool_specs.civitai.records import specs_of
from tool_specs.exceptions import CatalogError
from tool_specs.naming import parse_spec_id, parse_tool_name, tool_name
from tool_specs.nearest import SpecName, nearest
from tool_specs.pocket import pocket_records
from tool_specs.spec import ToolSpec

logger = logging.getLogger(__name__)

NEAREST = 3
"""Ids that the error for an unknown one names."""


class AnyCatalog(ABC):
    """Tool specs by name: in memory (`Catalog`), or on disk (`tool_specs.store.catalog.StoredCatalog`)."""

    @abstractmethod
    def __iter__(self) -> Iterator[ToolSpec]: ...

    @abstractmethod
    def __len__(self) -> int: ...

    @abstractmethod
    def __contains__(self, spec_id: object) -> bool: ...

    @abstractmethod
    def specs(self, *, type: str | None = None, family: str | None = None) -> tuple[ToolSpec, ...]:  # noqa: A002
        """The specs of a model type ("LORA") and a family ("sdxl"), both of any kind where not given."""

    @abstractmethod
    def _spec(self, spec_id: str) -> ToolSpec | None:
        """The spec with exactly this id."""

    @abstractmethod
    def _version(self, model_id: int, version_id: int | None) -> ToolSpec | None:
        """That version of a model, or its first."""

    @abstractmethod
    def _names(self) -> Iterator[SpecName]:
        """What every spec is called."""

    def get(self, name: str) -> ToolSpec:
        """The spec with an id.

        Args:
            name: `civitai:9001@9101`, a model id ("9001": its first version), a tool name, or a model page's address.

        Raises:
            CatalogError: There is none; the message names the nearest ids.
        """
        text = name.strip()
        spec = self._spec(text) or self.by_tool_name(text)
        if spec is None:
            try:
                spec = self._version(*parse_spec_id(text))
            except CatalogError:
                spec = None
        if spec is None:
            msg = f"the catalog holds no model {_shown(text)}; {self._suggestion(text)}"
            raise CatalogError(msg)
        return spec

    def by_tool_name(self, name: str) -> ToolSpec | None:
        """The spec that a tool name stands for, None if there is none."""
        try:
            model_id, version_id = parse_tool_name(name)
        except CatalogError:
            return None
        spec = self._version(model_id, version_id)
        if spec is None:
            return None
        ours = tool_name(spec.type, model_id, spec.version_id, spec.model_name, ambiguous=version_id is not None)
        return spec if name == ours else None

    def _suggestion(self, text: str) -> str:
        names = nearest(text, self._names(), NEAREST)
        listed = ", ".join(f"{name.id} ({name.model_name})" for name in names)
        return f"the nearest are {listed}" if names else "it is empty"


class Catalog(AnyCatalog):
    """Tool specs in memory, in the order given; of one id the first stays.

    Args:
        specs: The specs.
    """

    def __init__(self, specs: Iterable[ToolSpec] = ()) -> None:
        self._specs: dict[str, ToolSpec] = {}
        self._versions: dict[int, list[ToolSpec]] = {}
        for spec in specs:
            if spec.id not in self._specs:
                self._specs[spec.id] = spec
                self._versions.setdefault(spec.model_id, []).append(spec)

    @classmethod
    def from_records(cls, records: Iterable[Mapping[str, object]]) -> Self:
        """Read Civitai model objects; what cannot be read is logged and left out."""
        specs: list[ToolSpec] = []
        for record in records:
            reading = specs_of(record)
            specs += reading.specs
            for aside in reading.set_aside:
                logger.info("%s is left out of the catalog: %s", aside.where, aside.reason)
        return cls(specs)

    @classmethod
    def pocket(cls) -> Self:
        """The models that ship inside this package.

        Raises:
            CatalogError: The records are missing or damaged.
        """
        return cls.from_records(pocket_records())

    def __iter__(self) -> Iterator[ToolSpec]:
        return iter(self._specs.values())

    def __len__(self) -> int:
        return len(self._specs)

    def __contains__(self, spec_id: object) -> bool:
        return spec_id in self._specs

    def specs(self, *, type: str | None = None, family: str | None = None) -> tuple[ToolSpec, ...]:  # noqa: A002
        """The specs of a model type and a family, in the order given."""
        return tuple(
            spec for spec in self if (type is None or spec.type == type) and (family is None or spec.family == family)
        )

    def _spec(self, spec_id: str) -> ToolSpec | None:
        return self._specs.get(spec_id)

    def _version(self, model_id: int, version_id: int | None) -> ToolSpec | None:
        versions = self._versions.get(model_id, [])
        return next((spec for spec in versions if version_id in (None, spec.version_id)), None)

    def _names(self) -> Iterator[SpecName]:
        return (SpecName(one.id, one.model_id, one.version_id, one.type, one.model_name) for one in self)


def _shown(text: str) -> str:
    return repr(text if len(text) <= 80 else text[:77] + "...")
