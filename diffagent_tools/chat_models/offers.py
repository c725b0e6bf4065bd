"""What is on offer: the bound tools that are models of the catalog, with the networks that each accepts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from tool_specs.catalog import AnyCatalog
from tool_specs.search.shortlist import Shortlist
from tool_specs.spec import ToolSpec


@dataclass(frozen=True, slots=True)
class Offer:
    """One tool that can be called.

    Attributes:
        name: The tool's name.
        spec: The checkpoint behind it.
        properties: JSON schema of each of its arguments.
        networks: Spec ids that its `loras` accepts.
    """

    name: str
    spec: ToolSpec
    properties: Mapping[str, object]
    networks: frozenset[str]


def offers_in(tools: Sequence[Mapping[str, object]], catalog: AnyCatalog, shortlist: Shortlist) -> list[Offer]:
    """Read OpenAI tool descriptions, in order; tools that are no model of the catalog are left out.

    A name without a version stands for the version on the shortlist, else for the catalog's first.
    """
    shortlisted = {hit.spec.tool_name: hit.spec for hit in shortlist.hits}
    offers = []
    for tool in tools:
        function = _mapping(tool.get("function"))
        name = str(function.get("name", ""))
        spec = shortlisted.get(name) or catalog.by_tool_name(name)
        if spec is not None and spec.is_checkpoint:
            properties = _mapping(_mapping(function.get("parameters")).get("properties"))
            offers.append(Offer(name, spec, properties, _networks(properties)))
    return offers


def _networks(properties: Mapping[str, object]) -> frozenset[str]:
    """The ids in the enum of `loras`, or its only one."""
    entry = _mapping(_mapping(properties.get("loras")).get("items"))
    allowed = _mapping(_mapping(entry.get("properties")).get("id"))
    ids = allowed.get("enum", [allowed.get("const")])
    return frozenset(name for name in ids if isinstance(name, str)) if isinstance(ids, list) else frozenset()


def _mapping(value: object) -> Mapping[str, object]:
    return value if isinstance(value, Mapping) else {}
