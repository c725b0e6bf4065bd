"""Tool specs: every community model version as a typed, runnable tool, with the catalog and the search over them.

The names below load on first use, so that `import tool_specs` costs next to nothing.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tool_specs.calls import AnyCall, Call, LoraUse, arguments_model, call_model, parse_call, to_call
    from tool_specs.catalog import AnyCatalog, Catalog
    from tool_specs.civitai.records import specs_of
    from tool_specs.compatibility import Compatibility, compatible
    from tool_specs.exceptions import (
        ArtifactError,
        BackendError,
        CallError,
        CatalogError,
        CivitaiError,
        ConfigError,
        DiffAgentError,
        DownloadError,
        DrawingCancelled,
        RequestError,
        WeightsError,
    )
    from tool_specs.families import FAMILIES, Family, family_of
    from tool_specs.infotext import Infotext, parse_infotext, to_infotext
    from tool_specs.rules import Rules
    from tool_specs.search.ranked import RankedShortlister
    from tool_specs.search.shortlist import Shortlister
    from tool_specs.spec import ToolSpec
    from tool_specs.store.catalog import StoredCatalog
    from tool_specs.store.database import CatalogDatabase

_HOMES = {
    "AnyCall": "calls",
    "AnyCatalog": "catalog",
    "ArtifactError": "exceptions",
    "BackendError": "exceptions",
    "Call": "calls",
    "CallError": "exceptions",
    "Catalog": "catalog",
    "CatalogDatabase": "store.database",
    "CatalogError": "exceptions",
    "CivitaiError": "exceptions",
    "Compatibility": "compatibility",
    "ConfigError": "exceptions",
    "DiffAgentError": "exceptions",
    "DownloadError": "exceptions",
    "DrawingCancelled": "exceptions",
    "FAMILIES": "families",
    "Family": "families",
    "Infotext": "infotext",
    "LoraUse": "calls",
    "RankedShortlister": "search.ranked",
    "RequestError": "exceptions",
    "Rules": "rules",
    "Shortlister": "search.shortlist",
    "StoredCatalog": "store.catalog",
    "ToolSpec": "spec",
    "WeightsError": "exceptions",
    "arguments_model": "calls",
    "call_model": "calls",
    "compatible": "compatibility",
    "family_of": "families",
    "parse_call": "calls",
    "parse_infotext": "infotext",
    "specs_of": "civitai.records",
    "to_call": "calls",
    "to_infotext": "infotext",
}
"""Public name to the module that defines it."""

__all__ = [
    "FAMILIES",
    "AnyCall",
    "AnyCatalog",
    "ArtifactError",
    "BackendError",
    "Call",
    "CallError",
    "Catalog",
    "CatalogDatabase",
    "CatalogError",
    "CivitaiError",
    "Compatibility",
    "ConfigError",
    "DiffAgentError",
    "DownloadError",
    "DrawingCancelled",
    "Family",
    "Infotext",
    "LoraUse",
    "RankedShortlister",
    "RequestError",
    "Rules",
    "Shortlister",
    "StoredCatalog",
    "ToolSpec",
    "WeightsError",
    "arguments_model",
    "call_model",
    "compatible",
    "family_of",
    "parse_call",
    "parse_infotext",
    "specs_of",
    "to_call",
    "to_infotext",
]


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        msg = f"module {__name__!r} has no attribute {name!r}"
        raise AttributeError(msg)
    value: object = getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
