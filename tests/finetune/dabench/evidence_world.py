"""A small catalog with models of all kinds, and evidence of what they drew."""

from __future__ import annotations

import random
from collections.abc import Iterable
from pathlib import Path

from tests.civitai_models import Record
from tests.stored_models import record, specs
from tool_specs.naming import spec_id
from tool_specs.spec import ToolSpec
from tool_specs.store.database import CatalogDatabase
from tool_specs.store.rows import Evidence, Use

THINGS = (
    "castle", "dragon", "ship", "apple", "robot", "forest", "camel", "violin", "kitten", "volcano", "library", "whale",
    "train", "rose", "penguin", "lantern", "astronaut", "bread", "circus", "bridge",
)  # fmt: skip
PLACES = ("by the sea", "in the rain", "under the stars", "at sunset", "in the snow", "on a hill", "in a cave")
MANNERS = ("oil painting", "ink drawing", "clay model", "paper collage", "stained glass", "woodcut", "pencil sketch")
PARAMETERS: dict[str, object] = {
    "prompt": "a castle by the sea",
    "negative_prompt": "blurry, nude",
    "sampler": "dpmpp_2m_karras",
    "steps": 25,
    "cfg_scale": 7.0,
    "width": 512,
    "height": 768,
    "seed": 7,
}


def dated(model: Record, day: str) -> Record:
    """The model, published on a day."""
    for version in model["modelVersions"]:
        version["publishedAt"] = f"{day}T12:00:00Z"
    return model


CHECKPOINT, OTHER_CHECKPOINT, XL, FLUX, NO_FAMILY, UNSAFE, GONE_ONE, LORA, XL_LORA, EMBEDDING, VAE, PICKLE = range(
    1, 13
)
"""Model ids."""

KNITTED = "knitted_v2.safetensors"
SPECIAL = (
    dated(record(CHECKPOINT, "DreamPainterX", file="dreamPainterX_v1.safetensors"), "2023-01-01"),
    dated(record(OTHER_CHECKPOINT, "Anime", file="animeMix.safetensors"), "2023-02-01"),
    dated(record(XL, "Grand", bases=["SDXL 1.0"]), "2023-08-01"),
    dated(record(FLUX, "Flow", bases=["Flux.1 D"]), "2024-08-01"),
    record(NO_FAMILY, "Old Two", bases=["PixArt a"]),
    record(UNSAFE, "Lewd", tags=["nsfw"]),
    record(GONE_ONE, "Lost", mode="Archived"),
    dated(record(LORA, "Knitted", model_type="LORA", words=["kn1tted wool"], file=KNITTED), "2023-03-01"),
    record(XL_LORA, "Huge", model_type="LORA", bases=["SDXL 1.0"], file="huge.safetensors"),
    record(EMBEDDING, "Neat", model_type="TextualInversion", file="neat.safetensors"),
    record(VAE, "Clear", model_type="VAE", file="clear.safetensors"),
    record(PICKLE, "Pickled", file="pickled.ckpt"),
)  # fmt: skip


def version_of(model_id: int) -> int:
    """The version of a model that has one."""
    return model_id * 10 + 1


def name_of(model_id: int) -> str:
    """Its spec id."""
    return spec_id(model_id, version_of(model_id))


def specs_by_id() -> dict[str, ToolSpec]:
    """The special models."""
    return {spec.id: spec for spec in specs(*SPECIAL)}


def use(model_id: int, weight: float | None = None) -> Use:
    """A model that took part."""
    return Use(model_id, version_of(model_id), weight)


def evidence(*uses: Use, text: str = "a castle by the sea", **changes: object) -> Evidence:
    """A piece of evidence; a parameter of None is not there."""
    call = {name: value for name, value in {**PARAMETERS, **changes}.items() if value is not None}
    return Evidence(text, uses or (use(CHECKPOINT),), call, "e-1")


def many(count: int, *, models: int = 40, seed: int = 0) -> tuple[list[Record], list[Evidence]]:
    """Checkpoints published one a day, and different requests for them, some of which come again a little changed."""
    source = random.Random(seed)
    first = 100
    days = [f"2023-{1 + n // 28:02}-{1 + n % 28:02}" for n in range(models)]
    records = [
        dated(record(first + n, f"Painter {n}", file=f"painter{n}Mix.safetensors"), day) for n, day in enumerate(days)
    ]
    pieces: list[Evidence] = []
    while len(pieces) < count:
        one, other = source.sample(THINGS, 2)
        near = " ".join(source.sample(THINGS, 4))
        text = f"{source.choice(MANNERS)} of a {one} and a {other} {source.choice(PLACES)}, {near}"
        texts = [text, f"{text}, wide view"] if source.random() < 0.2 else [text]
        for said in texts:
            model = first + min(source.randrange(models), source.randrange(models))
            changes = {"prompt": f"(masterpiece:1.2), {said}", "seed": source.randrange(9999)}
            pieces.append(Evidence(said, (use(model),), {**PARAMETERS, **changes}, f"train-{len(pieces)}"))
    return records, pieces


def furnish(folder: Path, records: Iterable[Record] = SPECIAL, pieces: Iterable[Evidence] = ()) -> CatalogDatabase:
    """A catalog with models and evidence; close it."""
    database = CatalogDatabase.open(folder)
    with database.transaction() as writing:
        writing.put_specs(specs(*records), origin="api")
        writing.put_evidence(pieces)
    return database
