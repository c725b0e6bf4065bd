from __future__ import annotations

import gzip
import hashlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import save_file

from tool_specs.store.database import CatalogDatabase

KOHYA = "lora_unet_down_blocks_1_attentions_0_transformer_blocks_0_attn2_to_k"
UNET = "model.diffusion_model.input_blocks.1.1.transformer_blocks.0.attn2.to_k.weight"
FIRST = "model.diffusion_model.input_blocks.0.0.weight"


@pytest.fixture
def database(tmp_path_factory: pytest.TempPathFactory) -> Iterator[CatalogDatabase]:
    with CatalogDatabase.open(tmp_path_factory.mktemp("catalog")) as opened:
        yield opened


def write_lora(path: Path, *, width: int = 768, fill: float = 0.0, **metadata: str) -> str:
    """A small real LoRA file; returns its SHA-256."""
    half = np.float16
    tensors = {
        f"{KOHYA}.lora_down.weight": np.full((4, width), fill, half),
        f"{KOHYA}.lora_up.weight": np.zeros((320, 4), half),
        f"{KOHYA}.alpha": np.array(4, half),
    }
    return write_weights(path, tensors, **metadata)


def write_checkpoint(path: Path, *, width: int = 768, channels: int = 4, **metadata: str) -> str:
    """A checkpoint with two of its tensors."""
    tensors = {UNET: np.zeros((2, width), np.float32), FIRST: np.zeros((2, channels, 3, 3), np.float32)}
    return write_weights(path, tensors, **metadata)


def write_weights(path: Path, tensors: dict[str, Any], **metadata: str) -> str:
    path.parent.mkdir(parents=True, exist_ok=True)
    save_file(tensors, path, metadata={key.replace("modelspec_", "modelspec."): text for key, text in metadata.items()})
    return hashlib.sha256(path.read_bytes()).hexdigest().upper()


def write_lines(path: Path, values: list[object]) -> Path:
    """JSON lines, packed where the name says so; text is written as it is."""
    lines = [value if isinstance(value, str) else json.dumps(value) for value in values]
    content = "".join(f"{line}\n" for line in lines).encode()
    path.write_bytes(gzip.compress(content) if path.suffix == ".gz" else content)
    return path


def model(model_id: int, *versions: dict[str, Any], **fields: object) -> dict[str, Any]:
    """A model object of the API."""
    plain = {"id": model_id, "name": f"Model {model_id}", "type": "LORA", "tags": ["ink"], "allowCommercialUse": "Sell"}
    return {**plain, "modelVersions": list(versions or [version(model_id * 10)]), **fields}


def version(version_id: int, *, sha256: str = "", **fields: object) -> dict[str, Any]:
    """One of its versions."""
    file = {"id": 1, "name": f"v{version_id}.safetensors", "type": "Model", "hashes": {"SHA256": sha256}}
    return {"id": version_id, "name": "v1", "baseModel": "SD 1.5", "files": [file], **fields}


def side(model_id: int, version_id: int, *, sha256: str = "", **flags: object) -> dict[str, Any]:
    """A `.civitai.info` file: a version object with its model embedded."""
    embedded = {"name": f"Model {model_id}", "type": "LORA", "nsfw": False, "poi": False, **flags}
    return {**version(version_id, sha256=sha256, trainedWords=["inkfox"]), "modelId": model_id, "model": embedded}


def row(model_id: int, version_id: int | None, **fields: object) -> dict[str, Any]:
    """A normalised row."""
    file = {"name": "ink.safetensors", "type": "Model", "format": "SafeTensor", "size_kb": 10.5, "sha256": "AB" * 32,
            "autov2": "AB" * 5, "primary": True, "pickle_scan": "Success", "virus_scan": "Success"}  # fmt: skip
    plain = {
        "model_id": model_id, "version_id": version_id, "model_name": "Ink", "version_name": "v2", "type": "LORA",
        "base_model": "SDXL 1.0", "tags": ["ink"], "trained_words": ["inkfox, sumi"], "description": "Draws in ink.",
        "version_description": "Sharper.", "downloads": 5, "model_downloads": 9, "favorites": 3, "creator": "someone",
        "nsfw": False, "license": {"allowCommercialUse": ["Image"], "allowNoCredit": False}, "mode": None,
        "availability": None, "files": [file],
    }  # fmt: skip
    return {**plain, **fields}
