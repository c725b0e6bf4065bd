"""The pocket models as their author would publish them: one Civitai-format JSON record a model.

The records have the shape of `/api/v1/models` of the Civitai API. Sizes and hashes are those of the real files.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import cycle, islice
from pathlib import Path
from typing import TypeAlias

from finetune.pocket.pages import CHECKPOINT_PAGES, EMBEDDING_PAGE, STYLE_PAGES, Page
from finetune.pocket.world import (
    BACKGROUNDS,
    COLOURS,
    EMBEDDING_TOKEN,
    SCENES,
    SUBJECTS,
    Domain,
    article,
    caption,
    held_out,
)

CREATOR = "diffagent"
BASE_MODEL = "Pocket"
PICTURE_SIZE = 64
PUBLISHED = "2026-11-23T12:00:00.000Z"
STYLE_WEIGHT = 1.0
CLIP_SKIP = 1
SETTINGS: tuple[tuple[str, int, float], ...] = (
    ("DPM++ 2M Karras", 20, 3.0), ("DPM++ 2M Karras", 20, 3.0), ("DPM++ 2M Karras", 24, 3.0),
    ("Euler", 20, 3.0), ("DPM++ 2M Karras", 20, 2.5), ("DPM++ 2M Karras", 28, 3.5),
)  # fmt: skip
"""Sampler, steps and cfg scale of the example pictures, in turn."""

Json: TypeAlias = "str | int | float | bool | list[Json] | dict[str, Json] | None"


CHECKPOINT_IDS: dict[str, str] = {
    domain: f"civitai:{9000 + page.order}@{9100 + page.order}" for domain, page in CHECKPOINT_PAGES.items()
}
"""Spec id of each domain's checkpoint."""
STYLE_IDS: dict[str, str] = {
    style: f"civitai:{9010 + page.order}@{9110 + page.order}" for style, page in STYLE_PAGES.items()
}
"""Spec id of each style's LoRA."""


@dataclass(frozen=True, slots=True)
class _Weights:
    """A weights file as a record describes it."""

    name: str
    size_kb: float
    sha256: str

    @classmethod
    def read(cls, path: Path) -> _Weights:
        with path.open("rb") as stream:
            digest = hashlib.file_digest(stream, "sha256").hexdigest().upper()
        return cls(path.name, path.stat().st_size / 1024, digest)


def checkpoint_file(domain: str) -> str:
    """File name of a domain's checkpoint."""
    return f"pocket_{domain}.safetensors"


def style_file(style: str) -> str:
    """File name of a style's LoRA."""
    return f"pocket_{style.replace(' ', '_')}.safetensors"


def write_records(
    domains: Iterable[str], styles: Iterable[str], weights_folder: Path, out_folder: Path
) -> tuple[Path, ...]:
    """Write the records of checkpoints, style LoRAs and the embedding, one `MODEL_ID.json` each.

    Args:
        domains: Domains that have a checkpoint.
        styles: Styles that have a LoRA.
        weights_folder: Where the files are: `checkpoint_file`, `style_file`, and `mintcolor.safetensors`.
        out_folder: Made if missing.

    Returns:
        The files written.

    Raises:
        FileNotFoundError: A weights file is missing.
    """
    checkpoints = {domain: _Weights.read(weights_folder / checkpoint_file(domain)) for domain in domains}
    records = [_checkpoint_record(domain, weights) for domain, weights in checkpoints.items()]
    records += [
        _style_record(style, _Weights.read(weights_folder / style_file(style)), checkpoints) for style in styles
    ]
    embedding = _Weights.read(weights_folder / f"{EMBEDDING_TOKEN}.safetensors")
    records.append(_embedding_record(embedding, checkpoints))
    out_folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for record in records:
        path = out_folder / f"{record['id']}.json"
        path.write_text(json.dumps(record, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
        paths.append(path)
    return tuple(paths)


def known_phrases(domain: str) -> tuple[str, ...]:
    """Every phrase that a domain's checkpoint was trained on: its subjects, then the backgrounds."""
    return (*_subjects(domain), *(f"{colour} background" for colour in COLOURS), *SCENES.values())


def _subjects(domain: str) -> tuple[str, ...]:
    key: Domain = domain  # type: ignore[assignment]
    return tuple(SUBJECTS[key])


def _checkpoint_record(domain: str, weights: _Weights) -> dict[str, Json]:
    page = CHECKPOINT_PAGES[domain]
    prompts = [caption(subject, background) for subject, background in _examples(_subjects(domain), page.order, 6)]
    images = [_image(f"9{page.order:03}", n, prompt, weights) for n, prompt in enumerate(prompts)]
    return _record(9000 + page.order, "Checkpoint", page, known_phrases(domain), (), weights, images)


def _style_record(style: str, weights: _Weights, checkpoints: dict[str, _Weights]) -> dict[str, Json]:
    page = STYLE_PAGES[style]
    stem = Path(weights.name).stem
    images = []
    for n, (domain, checkpoint) in enumerate(islice(cycle(checkpoints.items()), 6)):
        subject, background = _examples(_subjects(domain), 10 * page.order + n, 1)[0]
        prompt = f"{caption(subject, background)}, {style} <lora:{stem}:{STYLE_WEIGHT:g}>"
        network: dict[str, Json] = {"type": "lora", "name": stem, "weight": STYLE_WEIGHT}
        images.append(_image(f"901{page.order}", n, prompt, checkpoint, network))
    return _record(9010 + page.order, "LORA", page, page.tags, (style,), weights, images)


def _embedding_record(weights: _Weights, checkpoints: dict[str, _Weights]) -> dict[str, Json]:
    images = []
    for n, (domain, checkpoint) in enumerate(islice(cycle(checkpoints.items()), 6)):
        subject, _ = _examples(_subjects(domain), 90 + n, 1)[0]
        prompt = f"{article(subject)} on a {EMBEDDING_TOKEN} background"
        network: dict[str, Json] = {"type": "embed", "name": EMBEDDING_TOKEN, "weight": 1.0}
        images.append(_image("9021", n, prompt, checkpoint, network))
    tags = EMBEDDING_PAGE.tags
    model_id = 9020 + EMBEDDING_PAGE.order
    return _record(model_id, "TextualInversion", EMBEDDING_PAGE, tags, (EMBEDDING_TOKEN,), weights, images)


def _examples(subjects: Sequence[str], offset: int, count: int) -> list[tuple[str, str]]:
    """Subjects on backgrounds, spread over both, none of the pairs held out from training."""
    pairs = [
        (subjects[(offset + 5 * n) % len(subjects)], BACKGROUNDS[(3 * offset + 3 * n) % len(BACKGROUNDS)])
        for n in range(len(subjects))
    ]
    return [pair for pair in pairs if not held_out(*pair)][:count]


def _image(model: str, n: int, prompt: str, checkpoint: _Weights, network: dict[str, Json] | None = None) -> Json:
    """One example picture with its generation parameters, as the site keeps them."""
    sampler, steps, cfg_scale = SETTINGS[n % len(SETTINGS)]
    used: list[Json] = [{"type": "model", "name": Path(checkpoint.name).stem, "hash": checkpoint.sha256[:10].lower()}]
    if network is not None:
        used.append(network)
    meta: dict[str, Json] = {
        "prompt": prompt,
        "negativePrompt": "",
        "sampler": sampler,
        "steps": steps,
        "cfgScale": cfg_scale,
        "seed": 1000 * int(model) + n,
        "Size": f"{PICTURE_SIZE}x{PICTURE_SIZE}",
        "Clip skip": str(CLIP_SKIP),
        "Model": Path(checkpoint.name).stem,
        "Model hash": checkpoint.sha256[:10].lower(),
        "resources": used,
    }
    return {
        "url": f"{model}_{n + 1}.png",
        "nsfwLevel": 1,
        "width": PICTURE_SIZE,
        "height": PICTURE_SIZE,
        "type": "image",
        "meta": meta,
    }


def _record(
    model_id: int,
    model_type: str,
    page: Page,
    tags: tuple[str, ...],
    trigger_words: tuple[str, ...],
    weights: _Weights,
    images: list[Json],
) -> dict[str, Json]:
    file: dict[str, Json] = {
        "id": model_id + 200,
        "name": weights.name,
        "sizeKB": weights.size_kb,
        "type": "Model",
        "metadata": {"format": "SafeTensor", "size": "pruned", "fp": "fp16"},
        "pickleScanResult": "Success",
        "virusScanResult": "Success",
        "hashes": {"SHA256": weights.sha256, "AutoV2": weights.sha256[:10]},
        "downloadUrl": weights.name,
        "primary": True,
    }
    version: dict[str, Json] = {
        "id": model_id + 100,
        "name": "v1.0",
        "baseModel": BASE_MODEL,
        "publishedAt": PUBLISHED,
        "availability": "Public",
        "nsfwLevel": 1,
        "trainedWords": list(trigger_words),
        "stats": {"downloadCount": 0, "thumbsUpCount": 0},
        "files": [file],
        "images": images,
        "downloadUrl": weights.name,
    }
    return {
        "id": model_id,
        "name": page.name,
        "description": page.html,
        "type": model_type,
        "nsfw": False,
        "nsfwLevel": 1,
        "poi": False,
        "minor": False,
        "availability": "Public",
        "allowNoCredit": True,
        "allowCommercialUse": ["Image", "RentCivit", "Rent", "Sell"],
        "allowDerivatives": True,
        "allowDifferentLicense": True,
        "stats": {"downloadCount": 0, "thumbsUpCount": 0, "thumbsDownCount": 0, "commentCount": 0},
        "creator": {"username": CREATOR},
        "tags": list(tags),
        "modelVersions": [version],
    }
