"""What a JSON value is: a model of the API, a row of a table, or a side file of some model manager.

Each becomes the model object that `tool_specs.civitai.records` reads.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Final

from tool_specs.civitai.values import mapping_of, sequence_of, text_of
from tool_specs.store.rows import Origin

JsonObject = Mapping[str, object]

_FILE_OF_ROW: Final = MappingProxyType(
    {
        "id": "id",
        "name": "name",
        "type": "type",
        "sizeKB": "size_kb",
        "pickleScanResult": "pickle_scan",
        "virusScanResult": "virus_scan",
        "downloadUrl": "download_url",
        "primary": "primary",
    }
)
"""Field of an API file to the field of a row's file."""

_HASH_OF_ROW: Final = MappingProxyType(
    {"SHA256": "sha256", "AutoV1": "autov1", "AutoV2": "autov2", "AutoV3": "autov3", "CRC32": "crc32",
     "BLAKE3": "blake3"}
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class ModelRecord:
    """A model object and how good its source is."""

    origin: Origin
    record: JsonObject


def model_record(value: object, path: Path) -> ModelRecord | None:
    """Recognise a value by its fields.

    Args:
        value: One value of a file.
        path: The file; some managers leave the name of the weights to the name of the side file.

    Returns:
        The model object; None for anything that describes no model.
    """
    fields = mapping_of(value)
    for shape in _SHAPES:
        if shape.holds(fields):
            return ModelRecord(shape.origin, shape.record(fields, path))
    return None


def hints_of(value: object) -> JsonObject | None:
    """What a person wrote about a weights file in A1111 or Forge; None where the value is nothing of that kind."""
    fields = mapping_of(value)
    return fields if "activation text" in fields or {"sd version", "description"} <= fields.keys() else None


def _of_row(row: JsonObject, _: Path) -> JsonObject:
    """A normalised row: one version, its model's fields beside it."""
    version = {
        "id": row.get("version_id"),
        "name": row.get("version_name"),
        "baseModel": row.get("base_model"),
        "baseModelType": row.get("base_model_type"),
        "description": row.get("version_description"),
        "trainedWords": row.get("trained_words"),
        "availability": row.get("availability"),
        "publishedAt": row.get("published_at"),
        "nsfwLevel": row.get("nsfw_level"),
        "stats": {
            "downloadCount": row.get("downloads"),
            "thumbsUpCount": row.get("thumbs_up"),
            "rating": row.get("rating"),
            "ratingCount": row.get("rating_count"),
        },
        "files": [_file_of_row(file) for file in map(mapping_of, sequence_of(row.get("files")))] or _only_file(row),
    }
    return {
        **mapping_of(row.get("license")),
        "id": row.get("model_id"),
        "name": row.get("model_name"),
        "type": row.get("type"),
        "mode": row.get("mode"),
        "nsfw": row.get("nsfw"),
        "poi": row.get("poi"),
        "minor": row.get("minor"),
        "tags": row.get("tags"),
        "description": row.get("description"),
        "creator": {"username": row.get("creator")},
        "stats": {"downloadCount": row.get("model_downloads"), "favoriteCount": row.get("favorites")},
        "modelVersions": [version],
    }


def _file_of_row(file: JsonObject) -> JsonObject:
    return {
        **{key: file.get(field) for key, field in _FILE_OF_ROW.items()},
        "metadata": {"format": file.get("format"), "fp": file.get("fp")},
        "hashes": {kind: file.get(field) for kind, field in _HASH_OF_ROW.items()},
    }


def _only_file(row: JsonObject) -> list[JsonObject]:
    """The file of a row that names it and lists none."""
    if not row.get("file_name"):
        return []
    named = {"name": row["file_name"], "primary": True, "size_kb": row.get("file_size_kb")}
    described = {"format": row.get("file_format"), "fp": row.get("file_fp")}
    return [_file_of_row({**named, **described, "sha256": row.get("sha256"), "autov2": row.get("autov2")})]


def _of_version(version: JsonObject, _: Path) -> JsonObject:
    """A version object of the API, as in `.civitai.info`: its model's name, type and flags are embedded."""
    return {**mapping_of(version.get("model")), "id": version.get("modelId"), "modelVersions": [version]}


def _of_lora_manager(value: JsonObject, path: Path) -> JsonObject:
    """`.metadata.json` of ComfyUI-Lora-Manager: a version object, the model's tags and description beside it."""
    version = mapping_of(value.get("civitai"))
    model = {"name": value.get("model_name"), **mapping_of(version.get("model"))}
    told = {"tags": value.get("tags") or model.get("tags"), "description": value.get("modelDescription")}
    return _of_version({**version, "model": {**model, **told}}, path)


def _of_stability_matrix(value: JsonObject, path: Path) -> JsonObject:
    """`.cm-info.json` of Stability Matrix; the weights carry the side file's name."""
    metadata = mapping_of(value.get("FileMetadata"))
    name = path.name.removesuffix(".cm-info.json")
    file = {
        "name": f"{name}.safetensors",
        "metadata": {"format": metadata.get("format"), "fp": metadata.get("fp")},
        "hashes": value.get("Hashes"),
        "primary": True,
    }
    version = {
        "id": value.get("VersionId"),
        "name": value.get("VersionName"),
        "description": value.get("VersionDescription"),
        "baseModel": value.get("BaseModel"),
        "trainedWords": value.get("TrainedWords"),
        "files": [file],
    }
    return {
        "id": value.get("ModelId"),
        "name": value.get("ModelName"),
        "description": value.get("ModelDescription"),
        "type": value.get("ModelType"),
        "nsfw": value.get("Nsfw"),
        "tags": value.get("Tags"),
        "modelVersions": [version],
    }


@dataclass(frozen=True, slots=True)
class _Shape:
    holds: Callable[[JsonObject], bool]
    origin: Origin
    record: Callable[[JsonObject, Path], JsonObject]


def _is_lora_manager(fields: JsonObject) -> bool:
    return bool(text_of(mapping_of(fields.get("civitai")).get("modelId")))


_SHAPES: Final = (
    _Shape(lambda fields: "modelVersions" in fields, "dump", lambda model, _: model),
    _Shape(lambda fields: {"model_id", "version_id", "type"} <= fields.keys(), "rows", _of_row),
    _Shape(lambda fields: {"id", "modelId", "model"} <= fields.keys(), "local", _of_version),
    _Shape(_is_lora_manager, "local", _of_lora_manager),
    _Shape(lambda fields: {"ModelId", "VersionId"} <= fields.keys(), "local", _of_stability_matrix),
)
"""The first that holds. Side files say less than a dump: nothing of the licence, seldom tags."""
