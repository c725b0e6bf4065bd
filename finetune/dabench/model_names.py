"""How an archive names models, and which models of the catalog it means."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Final, Literal

from pydantic import BaseModel, ConfigDict

from tool_specs.civitai.values import text_of
from tool_specs.exceptions import CatalogError, ConfigError
from tool_specs.naming import parse_spec_id
from tool_specs.store.database import CatalogDatabase

_VERSION: Final = re.compile(r"(?:https?://\S*/)?(\d{1,10})(?:[?#]\S*)?")
"""An id, or the address that a version is downloaded from."""
_ENDING: Final = re.compile(r"\.(?:safetensors|ckpt|pt|bin)\Z", re.IGNORECASE)


class ModelNames(BaseModel):
    """How an archive names models."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    names: Literal["spec", "version", "file", "hash"] = "spec"
    """`civitai:MODEL@VERSION` or a page's address with both; the id of a version or the address
    that it is downloaded from; a file's name; a file's hash."""
    dictionary: Path | None = None
    """JSON file with what the names in the records stand for; beside the mapping file."""
    value: str = ""
    """Where an entry of the dictionary keeps it, if it is an object."""


Resolver = Callable[[object], tuple[int, int] | None]
"""From a name in a record to the ids of model and version; None where the catalog has no such model, or several."""


def resolver(names: ModelNames, folder: Path, database: CatalogDatabase) -> Resolver:
    """What finds the models that an archive names."""
    meanings: object = {}
    if names.dictionary is not None:
        path = folder / names.dictionary
        try:
            meanings = json.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            msg = f"the dictionary {path} cannot be read as JSON ({error}); correct `dictionary` in the mapping file"
            raise ConfigError(msg) from error
    index = _INDEXES[names.names](database)

    def resolve(name: object) -> tuple[int, int] | None:
        if names.dictionary is not None:
            name = value_at(meanings, str(name))
            name = value_at(name, names.value) if names.value else name
        return index(text_of(name))

    return resolve


def value_at(value: object, path: str) -> object:
    """What lies at a path of keys in nested objects and lists; None where there is nothing.

    Text on the way that is JSON itself is taken apart.
    """
    if isinstance(value, Mapping) and path in value:
        return value[path]
    for key in path.split("."):
        value = opened(value)
        if isinstance(value, Mapping):
            value = value.get(key)
        elif isinstance(value, list) and key.isdecimal() and int(key) < len(value):
            value = value[int(key)]
        else:
            return None
    return value


def opened(value: object) -> object:
    """What is written in a text that is a JSON object or list; anything else as it is."""
    if isinstance(value, str) and value.lstrip()[:1] in ("{", "["):
        try:
            return json.loads(value)
        except (ValueError, RecursionError):
            return value
    return value


Index = Callable[[str], tuple[int, int] | None]


def _by_spec(_: CatalogDatabase) -> Index:
    def find(name: str) -> tuple[int, int] | None:
        try:
            model_id, version_id = parse_spec_id(name)
        except CatalogError:
            return None
        return None if version_id is None else (model_id, version_id)

    return find


def _by_version(database: CatalogDatabase) -> Index:
    versions = {str(name.version_id): (name.model_id, name.version_id) for name in database.names()}
    return lambda name: versions.get(match[1]) if (match := _VERSION.fullmatch(name)) else None


def _by_file(database: CatalogDatabase) -> Index:
    return _unique(
        ((file.stem, (spec.model_id, spec.version_id)) for spec in database.all_specs() for file in spec.files),
        lambda name: _ENDING.sub("", name),
    )


def _by_hash(database: CatalogDatabase) -> Index:
    return _unique(
        (
            (digest, (spec.model_id, spec.version_id))
            for spec in database.all_specs()
            for file in spec.files
            for digest in (file.sha256, *file.hashes.model_dump().values())
            if digest
        ),
        str,
    )


def _unique(pairs: Iterator[tuple[str, tuple[int, int]]], tidied: Callable[[str], str]) -> Index:
    """Finds by a name that only one version has."""
    found: dict[str, tuple[int, int] | None] = {}
    for name, ids in pairs:
        key = name.casefold()
        found[key] = ids if found.get(key, ids) == ids else None
    return lambda name: found.get(tidied(name).casefold())


_INDEXES: Final[Mapping[str, Callable[[CatalogDatabase], Index]]] = {
    "spec": _by_spec,
    "version": _by_version,
    "file": _by_file,
    "hash": _by_hash,
}
