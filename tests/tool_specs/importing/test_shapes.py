from __future__ import annotations

from datetime import date
from pathlib import Path
from typing import Any

import pytest

from tests.tool_specs.importing.conftest import model, row, side, version
from tool_specs.civitai.records import specs_of
from tool_specs.importing.shapes import hints_of, model_record
from tool_specs.spec import ToolSpec

HERE = Path("models/Lora/inkfox.cm-info.json")
SHA256 = "AB" * 32

LORA_MANAGER = {
    "file_name": "inkfox", "model_name": "Ink", "sha256": SHA256.lower(), "base_model": "SD 1.5", "from_civitai": True,
    "tags": ["ink"], "modelDescription": "<p>Draws in ink.</p>",
    "civitai": {**version(41, sha256=SHA256), "modelId": 4, "model": {"type": "LORA", "nsfw": False}},
}  # fmt: skip
STABILITY_MATRIX = {
    "ModelId": 4, "ModelName": "Ink", "ModelDescription": "Draws in ink.", "Nsfw": False, "Tags": ["ink"],
    "ModelType": "LORA", "VersionId": 41, "VersionName": "v1", "BaseModel": "SD 1.5", "TrainedWords": ["inkfox"],
    "FileMetadata": {"fp": "fp16", "format": "SafeTensor"}, "Hashes": {"SHA256": SHA256},
}  # fmt: skip


def only_spec(value: object) -> ToolSpec:
    found = model_record(value, HERE)
    assert found is not None
    (spec,) = specs_of(found.record).specs
    return spec


def test_a_row_becomes_a_spec() -> None:
    spec = only_spec(row(4, 41))

    assert (spec.id, spec.model_name, spec.version_name, spec.family) == ("civitai:4@41", "Ink", "v2", "sdxl")
    assert spec.trigger_words == ("inkfox", "sumi")
    assert spec.description == "Draws in ink.\nSharper."
    assert (spec.stats.downloads, spec.stats.favorites, spec.creator) == (5, 3, "someone")
    assert (spec.license.commercial_use, spec.license.allow_no_credit) == (("Image",), False)
    assert spec.primary_file is not None
    assert (spec.primary_file.sha256, spec.primary_file.hashes.AutoV2) == (SHA256, "AB" * 5)
    assert (spec.primary_file.size_kb, spec.primary_file.is_safe) == (10.5, True)


@pytest.mark.parametrize(
    ("fields", "name", "value"),
    [
        ({"mode": "Archived"}, "availability", "Archived"),
        ({"availability": "EarlyAccess"}, "availability", "EarlyAccess"),
        ({"files": []}, "files", ()),
        ({"nsfw": True}, "content_rating", "explicit"),
        ({"base_model": None}, "family", "other"),
        ({"published_at": "2023-05-06T07:08:09.000Z"}, "published", date(2023, 5, 6)),
        ({"license": None, "tags": None, "trained_words": None, "description": None}, "tags", ()),
    ],
)
def test_messy_rows(fields: dict[str, object], name: str, value: object) -> None:
    assert getattr(only_spec(row(4, 41, **fields)), name) == value


def test_a_row_that_names_its_file_only() -> None:
    spec = only_spec(row(4, 41, files=[], file_name="ink.ckpt", file_size_kb=7, sha256=SHA256))
    assert spec.primary_file is not None
    assert (spec.primary_file.format, spec.primary_file.sha256) == ("PickleTensor", SHA256)


@pytest.mark.parametrize("value", [row(4, None), row(4, 41, poi=True), row(4, 41, type="Poses")])
def test_rows_that_become_no_spec(value: object) -> None:
    found = model_record(value, HERE)
    assert found is not None
    assert specs_of(found.record).specs == ()


@pytest.mark.parametrize("value", [side(4, 41, sha256=SHA256), LORA_MANAGER, STABILITY_MATRIX])
def test_side_files(value: dict[str, Any]) -> None:
    found = model_record(value, HERE)
    assert found is not None
    assert found.origin == "local"
    spec = only_spec(value)
    assert (spec.id, spec.type, spec.base_model, spec.content_rating) == ("civitai:4@41", "LORA", "SD 1.5", "safe")
    assert [file.sha256 for file in spec.files] == [SHA256]
    assert spec.license.commercial_use == ()


def test_where_a_side_file_tells_more() -> None:
    told = only_spec(LORA_MANAGER)
    assert (told.model_name, told.tags, told.description) == ("Ink", ("ink",), "Draws in ink.")
    told = only_spec(STABILITY_MATRIX)
    assert (told.model_name, told.trigger_words, told.files[0].stem) == ("Ink", ("inkfox",), "inkfox")


def test_origins() -> None:
    assert [found.origin for value in (model(4), row(4, 41)) if (found := model_record(value, HERE))] == [
        "dump",
        "rows",
    ]


@pytest.mark.parametrize(
    "value", [None, 1, "x", [], {}, {"id": 1}, {"gold": [], "text": "x"}, {"civitai": {}}, {"activation text": "x"}]
)
def test_what_describes_no_model(value: object) -> None:
    assert model_record(value, HERE) is None


def test_hints() -> None:
    assert hints_of({"activation text": "inkfox", "preferred weight": 0.8})
    assert hints_of({"description": "x", "sd version": "SD1"})
    assert hints_of({"description": "x"}) is None
    assert hints_of([]) is None
