from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file

from tests.tool_specs.conftest import SpecMaker
from tool_specs.compatibility import compatible
from tool_specs.exceptions import WeightsError


@pytest.mark.parametrize(
    ("network", "checkpoint", "ok"),
    [
        ("SD 1.5", "SD 1.5", True),
        ("SD 1.4", "SD 1.5", True),
        ("sd 1.5", "SD 1.5", True),
        ("SDXL 1.0", "Pony", True),
        ("Pony", "Illustrious", True),
        ("NoobAI", "SDXL 1.0", True),
        ("SD 1.5", "SDXL 1.0", False),
        ("SDXL 1.0", "SD 1.5", False),
        ("SD 1.5", "SD 2.1", False),
        ("SD 2.0", "SD 2.1 768", True),
        ("Flux.1 D", "Chroma", False),
        ("ZImageBase", "ZImageTurbo", True),
        ("Flux.1 D", "Flux.1 S", True),
        ("Flux.1 D", "SDXL 1.0", False),
        ("SD 3.5 Large", "SD 3.5 Large Turbo", True),
        ("SD 3.5 Large", "SD 3.5 Medium", False),
        ("Pocket", "Pocket", True),
        ("SD 1.5", "Pocket", False),
        ("Other", "Other", False),
        ("Wan Video", "Wan Video", False),
    ],
)
def test_architectures(make_spec: SpecMaker, network: str, checkpoint: str, ok: bool) -> None:
    verdict = compatible(make_spec(2, "LORA", network), make_spec(1, "Checkpoint", checkpoint))

    assert verdict.ok is ok
    assert verdict.reason


def test_the_reason_names_both_sides(make_spec: SpecMaker) -> None:
    verdict = compatible(
        make_spec(2, "LORA", "SDXL 1.0", name="Neon"), make_spec(1, base_model="Pocket", name="Animals")
    )

    assert verdict.reason == "Neon is for SDXL 1.0 (sdxl), Animals is Pocket (pocket)"


def test_a_network_from_another_lineage_loads_with_a_warning(make_spec: SpecMaker) -> None:
    verdict = compatible(make_spec(2, "LORA", "Pony"), make_spec(1, base_model="Illustrious"))

    assert verdict.ok
    assert "may look different" in verdict.reason


def test_roles_matter(make_spec: SpecMaker) -> None:
    assert not compatible(make_spec(2), make_spec(1)).ok
    assert not compatible(make_spec(2, "LORA"), make_spec(1, "LORA")).ok
    assert not compatible(make_spec(2, "Upscaler"), make_spec(1)).ok


@pytest.mark.parametrize(
    ("vae", "checkpoint", "ok"),
    [
        ("SD 1.5", "SD 1.4", True),
        ("SDXL 1.0", "Pony", True),
        ("SD 3.5 Large", "SD 3.5 Medium", True),
        ("SD 1.5", "SDXL 1.0", False),
        ("SD 1.5", "SD 2.1", True),
        ("Flux.1 D", "Chroma", True),
        ("ZImageTurbo", "Flux.1 S", True),
        ("Qwen", "Flux.1 D", False),
        ("Flux.1 D", "SD 3", False),
        ("Other", "SD 1.5", False),
    ],
)
def test_a_vae_goes_with_checkpoints_of_the_same_latents(
    make_spec: SpecMaker, vae: str, checkpoint: str, ok: bool
) -> None:
    assert compatible(make_spec(2, "VAE", vae), make_spec(1, base_model=checkpoint)).ok is ok
    if ok and vae.startswith("SD 3"):
        assert not compatible(make_spec(2, "LORA", vae), make_spec(1, base_model=checkpoint)).ok


def test_hypernetworks_are_refused_with_the_reason(make_spec: SpecMaker) -> None:
    verdict = compatible(make_spec(2, "Hypernetwork"), make_spec(1))

    assert not verdict.ok
    assert "pickle" in verdict.reason


@pytest.mark.parametrize(
    ("tensor", "name"),
    [
        ("oft_unet_conv_in.oft_blocks", "OFT"),
        ("lora_unet_conv_in.oft_diag", "OFT"),
        ("lora_unet_conv_in.a1.weight", "GLoRA"),
        ("lora_unet_conv_in.on_input", "(IA)³"),
    ],
)
def test_a_file_of_a_kind_that_is_not_computed_is_refused(
    make_spec: SpecMaker, tmp_path: Path, tensor: str, name: str
) -> None:
    file = tmp_path / "odd.safetensors"
    save_file({tensor: np.zeros((4, 4), np.float16)}, file)
    verdict = compatible(make_spec(2, "LoCon"), make_spec(1), network_file=file)

    assert not verdict.ok
    assert name in verdict.reason


def test_the_header_is_believed_before_the_label(make_spec: SpecMaker, tmp_path: Path) -> None:
    key = "lora_unet_down_blocks_1_attentions_0_transformer_blocks_0_attn2_to_k.lora_down.weight"
    mislabelled = tmp_path / "xl.safetensors"
    save_file({key: np.zeros((4, 2048), np.float16)}, mislabelled)
    network, checkpoint = make_spec(2, "LORA", "SD 1.5"), make_spec(1, base_model="SD 1.5")

    assert compatible(network, checkpoint).ok
    assert not compatible(network, checkpoint, network_file=mislabelled).ok
    assert compatible(network, make_spec(3, base_model="Pony"), network_file=mislabelled).ok
    with pytest.raises(WeightsError, match="cannot be read"):
        compatible(network, checkpoint, network_file=tmp_path / "missing.safetensors")


def test_a_header_that_does_not_say_leaves_the_label(make_spec: SpecMaker, tmp_path: Path) -> None:
    vague = tmp_path / "vague.safetensors"
    save_file({"lora_unet_conv_in.lora_down.weight": np.zeros((4, 4, 3, 3), np.float16)}, vague)

    assert compatible(make_spec(2, "LORA", "SD 1.5"), make_spec(1, base_model="SD 1.5"), network_file=vague).ok
