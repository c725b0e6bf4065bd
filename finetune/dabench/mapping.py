"""Archives of instructions and calls whose fields are called anything: a mapping file says where everything is."""

from __future__ import annotations

import csv
import gzip
import json
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from pydantic import BaseModel, ConfigDict

from finetune.dabench.calls import NO_MODEL, Dropped
from finetune.dabench.model_names import ModelNames, Resolver, opened, resolver, value_at
from finetune.settings import load_settings
from tool_specs.civitai.text import plain_text
from tool_specs.civitai.values import integer_of, number_of, text_of
from tool_specs.exceptions import ConfigError
from tool_specs.importing.documents import entries
from tool_specs.prompts import clean_prompt, without_loras
from tool_specs.store.database import CatalogDatabase
from tool_specs.store.rows import Evidence, Use

UNREADABLE: Final = "its record is not as the mapping says"

_MAX_TEXT: Final = 2000
_TABLES: Final = {".csv": ",", ".tsv": "\t"}
_SIZE: Final = re.compile(r"\s*(\d{2,5})\s*[xX×*,]\s*(\d{2,5})\s*")
_ODD: Final = re.compile(r"[^A-Za-z0-9_]+")
"""What the name of a split may not hold."""


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class RecordPaths(_Part):
    """Where a record keeps what: keys joined by dots, a number for a place in a list; empty where it has none."""

    text: str
    """The instruction."""
    checkpoint: str
    loras: str = ""
    """A list of names or objects, or an object of names to weights; empty: the tags in the prompt.

    A name without a weight has that of its tag.
    """
    prompt: str
    negative_prompt: str = ""
    sampler: str
    schedule: str = ""
    steps: str
    cfg_scale: str
    width: str = ""
    height: str = ""
    size: str = ""
    """Both in one, as 512x768."""
    clip_skip: str = ""
    id: str = ""
    split: str = ""
    """Where it is given, it is kept."""


class LoraPaths(_Part):
    """Where an entry of `loras` keeps what, if it is an object."""

    name: str = "name"
    weight: str = "weight"


class ArchiveMapping(_Part):
    """A mapping file."""

    records: str = ""
    """Where a JSON document keeps its records, a list or an object of ids; empty: the document is a list, or lines."""
    record: RecordPaths
    lora: LoraPaths = LoraPaths()
    checkpoints: ModelNames = ModelNames()
    loras: ModelNames = ModelNames()


@dataclass(frozen=True, slots=True)
class Sourced:
    """A piece of evidence, and the split that its source put it into; empty where it says none."""

    evidence: Evidence
    split: str = ""


def read_archive(path: Path, mapping_file: Path, database: CatalogDatabase) -> Iterator[Sourced | Dropped]:
    """Read an archive: JSON, JSON lines (either may be packed with gzip or zstandard), CSV or TSV.

    Args:
        path: The archive.
        mapping_file: YAML of an `ArchiveMapping`.
        database: The catalog in which the models are looked up.

    Raises:
        ConfigError: A file cannot be read, or the mapping is not valid.
    """
    mapping = load_settings(ArchiveMapping, mapping_file, ())
    checkpoints = resolver(mapping.checkpoints, mapping_file.parent, database)
    loras = resolver(mapping.loras, mapping_file.parent, database)
    try:
        for place, record in _records(path, mapping.records):
            yield _sourced(place, record, mapping, checkpoints, loras)
    except (OSError, ValueError, EOFError, csv.Error) as error:
        msg = f"the archive {path} cannot be read ({error}); name a file of JSON, JSON lines, CSV or TSV"
        raise ConfigError(msg) from error


def _records(path: Path, inside: str) -> Iterator[tuple[str, object]]:
    """Every record of an archive and where it stands."""
    if (delimiter := _TABLES.get(path.suffix.lower())) is not None:
        csv.field_size_limit(10_000_000)
        with path.open(encoding="utf-8-sig", newline="") as file:
            for number, row in enumerate(csv.DictReader(file, delimiter=delimiter), 1):
                yield f"row {number}", row
    elif inside:
        content = path.read_bytes()
        document = json.loads(gzip.decompress(content) if content[:2] == b"\x1f\x8b" else content)
        found = value_at(document, inside)
        if not isinstance(found, Mapping | list):
            msg = f"there is no list of records at {inside!r}"
            raise ValueError(msg)
        named = found.items() if isinstance(found, Mapping) else enumerate(found, 1)
        yield from ((str(name), record) for name, record in named)
    else:
        for entry in entries(path):
            if entry.reason and entry.place == "file":
                raise ValueError(entry.reason)
            yield entry.place, entry.value


def _sourced(
    place: str, record: object, mapping: ArchiveMapping, checkpoints: Resolver, loras: Resolver
) -> Sourced | Dropped:
    """One record as evidence."""
    paths = mapping.record
    text = value_at(record, paths.text)
    prompt = value_at(record, paths.prompt)
    if not isinstance(text, str) or not isinstance(prompt, str) or not (text := plain_text(text, _MAX_TEXT)):
        return Dropped(UNREADABLE)
    networks = _networks(value_at(record, paths.loras) if paths.loras else None, prompt, mapping.lora)
    found = [checkpoints(value_at(record, paths.checkpoint)), *(loras(name) for name, _ in networks)]
    uses = [Use(*one, weight) for one, weight in zip(found, [None, *(w for _, w in networks)], strict=True) if one]
    if len(uses) < len(found):
        return Dropped(NO_MODEL)
    call: dict[str, object] = {"prompt": clean_prompt(prompt)}
    for name, read in _READ.items():
        at = getattr(paths, name)
        call[name] = read(value_at(record, at)) if at else None
    if size := _SIZE.fullmatch(str(value_at(record, paths.size))) if paths.size else None:
        call |= {"width": int(size[1]), "height": int(size[2])}
    identity = text_of(value_at(record, paths.id)) if paths.id else place
    split = _ODD.sub("_", text_of(value_at(record, paths.split), 60)) if paths.split else ""
    kept = {name: value for name, value in call.items() if value not in (None, "")}
    return Sourced(Evidence(text=text, uses=tuple(uses), call=kept, id=identity), split)


_READ: Final[Mapping[str, Callable[[object], object]]] = {
    "negative_prompt": lambda value: clean_prompt(value) if isinstance(value, str) else None,
    "sampler": text_of,
    "schedule": text_of,
    "steps": integer_of,
    "cfg_scale": number_of,
    "width": integer_of,
    "height": integer_of,
    "clip_skip": integer_of,
}
"""Parameter to what reads it, whatever its type in the archive."""


def _networks(value: object, prompt: str, paths: LoraPaths) -> list[tuple[object, float | None]]:
    """The networks of a record and their weights."""
    value = opened(value)
    if isinstance(value, str):
        value = [name.strip() for name in value.split(",") if name.strip()]
    if isinstance(value, Mapping):
        return [(name, number_of(weight)) for name, weight in value.items()]
    if isinstance(value, list):
        return [
            (value_at(entry, paths.name), number_of(value_at(entry, paths.weight)))
            if isinstance(entry, Mapping)
            else (entry, None)
            for entry in value
        ]
    return list(without_loras(prompt)[1]) if value is None else []
