from __future__ import annotations

import pytest
from pydantic import ValidationError

from tests.tool_specs.conftest import SpecMaker
from tool_specs.spec import LoraUse, ModelFile, ToolSpec


def file(name: str, **fields: object) -> ModelFile:
    return ModelFile.model_validate(
        {"id": 1, "name": name, "type": "Model", "format": "SafeTensor", "size_kb": 1.0} | fields
    )


def test_a_spec_is_frozen_hashable_and_survives_json(make_spec: SpecMaker) -> None:
    spec = make_spec(4384, name="DreamShaper", base_model="SD 1.5", tags=("a", "b"), files=(file("a.safetensors"),))

    assert ToolSpec.model_validate_json(spec.model_dump_json()) == spec
    assert len({spec, spec.model_copy()}) == 1
    with pytest.raises(ValidationError):
        spec.family = "sdxl"


def test_names_and_roles(make_spec: SpecMaker) -> None:
    spec = make_spec(4384, name="DreamShaper")

    assert spec.tool_name == "civitai_4384_dreamshaper"
    assert (spec.is_checkpoint, spec.is_network) == (True, False)
    for network in ("LORA", "LoCon", "DoRA", "TextualInversion"):
        assert make_spec(1, network).is_network
    assert not make_spec(1, "VAE").is_network


def test_the_primary_file_is_the_safe_one(make_spec: SpecMaker) -> None:
    pickled = file("a.ckpt", format="PickleTensor", primary=True)
    pruned = file("b.safetensors", type="Pruned Model")
    scanned = file("c.safetensors", scan="Pending", primary=True)
    vae = file("v.safetensors", type="VAE")

    assert make_spec(files=(vae, pickled, pruned)).primary_file == pruned
    assert make_spec(files=(pruned, file("d.safetensors", primary=True))).primary_file == file(
        "d.safetensors", primary=True
    )
    assert make_spec(files=(scanned, pickled)).primary_file == scanned
    assert make_spec(files=(vae,)).primary_file is None
    assert make_spec(1, "VAE", files=(vae,)).primary_file == vae
    assert make_spec().primary_file is None


@pytest.mark.parametrize("weight", [2.5, -2.5, float("nan"), float("inf")])
def test_weights_are_bounded(weight: float) -> None:
    with pytest.raises(ValidationError):
        LoraUse(id="civitai:1@2", weight=weight)
