from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.tool_specs.importing.conftest import FIRST, UNET, write_checkpoint, write_lora, write_weights
from tool_specs.catalog import Catalog
from tool_specs.exceptions import CatalogError
from tool_specs.importing.local_specs import local_spec
from tool_specs.naming import FIRST_LOCAL_ID, parse_spec_id
from tool_specs.spec import License, ToolSpec
from tool_specs.weight_files import read_header

ROOT = Path(__file__).parents[3]
KOHYA_METADATA = {
    "ss_output_name": "ink_v2",
    "ss_base_model_version": "sd_v1",
    "ss_dataset_dirs": json.dumps({"10_ink": {"n_repeats": 10, "img_count": 20}, "reg": {"img_count": 500}}),
    "ss_tag_frequency": json.dumps(
        {"10_ink": {"inkfox": 20, "1girl": 20, "sumi-e": 19, "Trees": 4}, "reg": {"photo": 100, "<b>x</b>": 3}}
    ),
    "modelspec_description": "<p>Draws <b>in ink</b>.</p>",
    "modelspec_author": "somebody",
    "sshs_model_hash": "ab" * 32,
}


def described(path: Path, sha256: str, **hints: object) -> ToolSpec:
    return local_spec(path, read_header(path), sha256, hints)


def test_a_network_as_its_trainer_describes_it(tmp_path: Path) -> None:
    path = tmp_path / "ink fox.safetensors"
    sha256 = write_lora(path, **KOHYA_METADATA)
    spec = described(path, sha256)

    assert (spec.type, spec.base_model, spec.family) == ("LORA", "SD 1.5", "sd15")
    assert (spec.model_name, spec.version_name, spec.creator) == ("ink fox", "ink_v2", "somebody")
    assert spec.trigger_words == ("inkfox", "sumi-e")
    assert spec.tags[:3] == ("photo", "inkfox", "1girl")
    assert "x" in spec.tags
    assert spec.description == "Draws in ink."
    assert (spec.availability, spec.content_rating) == ("Public", "safe")
    assert spec.license == License(allow_no_credit=False, allow_derivatives=False, allow_different_license=False,
                                   base_model_license="CreativeML Open RAIL-M")  # fmt: skip
    file = spec.primary_file
    assert file is not None
    assert (file.name, file.is_safe, file.fp, file.sha256) == ("ink fox.safetensors", True, "fp16", sha256)
    assert (file.hashes.AutoV2, file.hashes.AutoV3) == (sha256[:10], "AB" * 6)
    assert file.size_kb == path.stat().st_size / 1024


def test_its_id_is_its_hash(tmp_path: Path) -> None:
    path = tmp_path / "ink.safetensors"
    sha256 = write_lora(path)
    spec = described(path, sha256)

    number = FIRST_LOCAL_ID + int(sha256, 16) // 2**225
    assert spec.id == f"local:{number}@{number}"
    assert spec.is_local
    assert parse_spec_id(spec.id) == (number, number)
    catalog = Catalog([spec])
    assert catalog.get(spec.id) == catalog.get(spec.tool_name) == catalog.get(str(number)) == spec
    assert spec.tool_name == f"local_{number}_ink"


@pytest.mark.parametrize(
    ("width", "metadata", "base_model"),
    [
        (768, {}, "SD 1.5"),
        (1024, {}, "SD 2.1"),
        (2048, {}, "SDXL 1.0"),
        (96, {}, "Pocket"),
        (2048, {"ss_sd_model_name": "ponyDiffusionV6XL.safetensors"}, "Pony"),
        (2048, {"ss_sd_model_name": "Illustrious-XL-v0.1.safetensors"}, "Illustrious"),
        (2048, {"ss_sd_model_name": "NoobAI-XL-v1.1.safetensors"}, "NoobAI"),
        (768, {"ss_sd_model_name": "ponyDiffusionV6XL.safetensors"}, "SD 1.5"),
        (500, {}, "Other"),
        (500, {"ss_base_model_version": "sdxl_base_v1-0"}, "SDXL 1.0"),
    ],
)
def test_base_models(tmp_path: Path, width: int, metadata: dict[str, str], base_model: str) -> None:
    path = tmp_path / "little_pony.safetensors"
    assert described(path, write_lora(path, width=width, **metadata)).base_model == base_model


def test_a_checkpoint_is_told_by_its_name_too(tmp_path: Path) -> None:
    path = tmp_path / "ponyDiffusionV6XL.safetensors"
    spec = described(path, write_checkpoint(path, width=2048))
    assert (spec.type, spec.base_model, spec.family) == ("Checkpoint", "Pony", "sdxl")
    assert spec.files[0].fp == "fp32"


@pytest.mark.parametrize(
    ("tensors", "model_type"),
    [
        ({"emb_params": np.zeros((4, 768), np.float32)}, "TextualInversion"),
        ({"decoder.conv_in.weight": np.zeros((4, 4, 3, 3), np.float32)}, "VAE"),
    ],
)
def test_other_kinds(tmp_path: Path, tensors: dict[str, Any], model_type: str) -> None:
    path = tmp_path / "easynegative.safetensors"
    spec = described(path, write_weights(path, tensors))
    assert spec.type == model_type
    assert spec.trigger_words == (("easynegative",) if model_type == "TextualInversion" else ())


def test_what_a_person_wrote_beside_it_counts_most(tmp_path: Path) -> None:
    path = tmp_path / "ink.safetensors"
    sha256 = write_lora(path, **KOHYA_METADATA)
    spec = described(path, sha256, **{"activation text": "inkfox, (sumi:1.2)", "notes": "Mine.", "description": None})
    assert spec.trigger_words == ("inkfox", "sumi")
    assert spec.description == "Draws in ink.\nMine."


@pytest.mark.parametrize(
    ("tensors", "said"),
    [
        ({"upscale.conv.weight": np.zeros((4, 4, 3, 3), np.float32)}, "no checkpoint, LoRA"),
        ({f"control_{UNET}": np.zeros((4, 768), np.float32), "control_model." + UNET: np.zeros(2)}, "no checkpoint"),
        ({UNET: np.zeros((2, 768), np.float32), FIRST: np.zeros((2, 9, 3, 3), np.float32)}, "inpainting"),
    ],
)
def test_what_draws_nothing(tmp_path: Path, tensors: dict[str, Any], said: str) -> None:
    path = tmp_path / "x.safetensors"
    sha256 = write_weights(path, tensors)
    with pytest.raises(CatalogError, match=said):
        described(path, sha256)


@pytest.mark.parametrize(
    "metadata",
    [
        {"ss_tag_frequency": "{", "ss_dataset_dirs": "[]"},
        {"ss_tag_frequency": '{"a": 3, "b": ["x"], "c": {"x": null, "y": "4", "z": -1, "w": 1e400}}'},
        {"ss_tag_frequency": "[" * 100_000},
        {"ss_tag_frequency": json.dumps({"a": {f"tag {n} {'x' * 500}": n for n in range(3000)}})},
        {"ss_output_name": "<script>x</script>\x00\u202e" + "long " * 1000, "modelspec_author": "a\nb" * 500},
        {"modelspec_trigger_phrase": "<lora:x:1> " + "word, " * 5000},
        {"sshs_model_hash": "e3b0c44298fc1c149afb"},
    ],
)
def test_a_strangers_header(tmp_path: Path, metadata: dict[str, str]) -> None:
    path = tmp_path / "x.safetensors"
    spec = described(path, write_lora(path, **metadata))
    assert len(spec.tags) <= 25
    assert all(len(tag) <= 100 for tag in spec.tags)
    assert "\n" not in "".join((spec.model_name, spec.version_name, spec.creator or "", *spec.trigger_words))
    assert "<" not in "".join((spec.version_name, *spec.trigger_words, *spec.tags))
    assert spec.files[0].hashes.AutoV3 == ""


def test_explicit_training_tags_are_rated(tmp_path: Path) -> None:
    path = tmp_path / "x.safetensors"
    tags = {"a": {"1girl": 9, "nude": 8}}
    assert described(path, write_lora(path, ss_tag_frequency=json.dumps(tags))).content_rating == "explicit"


def test_the_shipped_weights() -> None:
    files = sorted((ROOT / "tool_specs" / "pocket" / "weights").rglob("*.safetensors"))
    assert len(files) > 5
    for path in files:
        assert described(path, hashlib.sha256(path.read_bytes()).hexdigest().upper()).family == "pocket"
