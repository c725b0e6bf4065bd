"""A small stored catalog: models as Civitai gives them, read as `diffagent import` reads them."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from tests.civitai_models import Record
from tool_specs.civitai.records import specs_of
from tool_specs.spec import ToolSpec
from tool_specs.store.database import CatalogDatabase
from tool_specs.store.rows import Evidence, Use


def record(
    model_id: int,
    name: str,
    *,
    model_type: str = "Checkpoint",
    bases: Iterable[str] = ("SD 1.5",),
    tags: Iterable[str] = (),
    words: Iterable[str] = (),
    description: str = "",
    examples: Iterable[str] = (),
    file: str = "m.safetensors",
    size_kb: float = 1000,
    level: int = 1,
    **fields: object,
) -> Record:
    """A model with one version for each of its base models, the first the newest."""
    prompts = [{"url": "https://image.civitai.com/x", "nsfwLevel": 1, "meta": {"prompt": text}} for text in examples]
    bases = list(bases)
    versions = [
        {
            "id": model_id * 10 + len(bases) - n,
            "name": f"v{len(bases) - n}",
            "baseModel": base,
            "nsfwLevel": level,
            "trainedWords": list(words),
            "files": [{"id": 1, "name": file, "type": "Model", "sizeKB": size_kb, "primary": True}] if file else [],
            "images": prompts,
        }
        for n, base in enumerate(bases)
    ]
    return {
        "id": model_id,
        "name": name,
        "type": model_type,
        "tags": list(tags),
        "description": description,
        "allowCommercialUse": ["Image"],
        "creator": {"username": f"maker {model_id}"},
        "stats": {"downloadCount": 1000},
        "modelVersions": versions,
        **fields,
    }


def specs(*records: Record) -> list[ToolSpec]:
    """The specs of records, all of which must be readable."""
    readings = [specs_of(one) for one in records]
    assert not any(reading.set_aside for reading in readings), readings
    return [spec for reading in readings for spec in reading.specs]


def put(database: CatalogDatabase, *records: Record) -> None:
    """Store models."""
    with database.transaction() as writing:
        writing.put_specs(specs(*records), origin="api")


def prove(database: CatalogDatabase, uses: Iterable[tuple[str, int]]) -> None:
    """Store what models were used for."""
    with database.transaction() as writing:
        writing.put_evidence(Evidence(text, (Use(model_id, None, None),), {}) for text, model_id in uses)


THEMES = {
    1: ("Fortress", "castle", ("a castle on a hill at sunset", "an old stone castle", "castle towers in the mist")),
    2: ("Wyrm", "dragon", ("a red dragon breathing fire", "a dragon above the clouds", "a sleeping dragon")),
    3: ("Harbour", "sailing ship", ("a sailing ship in a storm", "ships in a harbour", "a ship on calm water")),
    4: ("Orchard", "fruit still life", ("a bowl of apples and pears", "grapes on a table", "a basket of fruit")),
    5: ("Midnight City", "cyberpunk", ("a cyberpunk street at night", "neon signs in the rain", "a neon city")),
}
"""Checkpoints by id: name, tag and what people used them for."""
STYLES = {
    11: ("Inkbrush", "ink wash", ("ink wash painting of a crane", "ink wash mountains", "bamboo, ink wash")),
    12: ("Knitted", "knitted wool", ("a knitted wool fox", "a cat made of knitted wool", "knitted wool house")),
}
"""Networks likewise."""


def furnish(folder: Path) -> None:
    """Fill a catalog with the themes and the styles, and with what they were used for."""
    with CatalogDatabase.open(folder) as database:
        put(database, *theme_records())
        prove(database, theme_uses())


def theme_records() -> list[Record]:
    """All themes and styles."""
    checkpoints = [record(number, name, tags=[tag]) for number, (name, tag, _) in THEMES.items()]
    networks = [
        record(number, name, model_type="LORA", tags=[tag], words=[tag]) for number, (name, tag, _) in STYLES.items()
    ]
    return checkpoints + networks


def theme_uses() -> list[tuple[str, int]]:
    """All their evidence."""
    return [(text, number) for number, (*_, texts) in (THEMES | STYLES).items() for text in texts]


def filler(count: int, first: int = 1000) -> list[Record]:
    """Models of no particular subject."""
    return [record(n, f"Model {n}", tags=[f"subject{n % 50}"]) for n in range(first, first + count)]


def filler_uses(count: int, first: int = 1000) -> list[tuple[str, int]]:
    """What they were used for."""
    return [(f"a picture of subject{n % 50} number {n}, highly detailed", n) for n in range(first, first + count)]
