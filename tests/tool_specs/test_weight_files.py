from __future__ import annotations

import contextlib
import hashlib
import json
import os
import pickle
import zipfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from safetensors.numpy import load_file, save_file

from tool_specs.exceptions import WeightsError
from tool_specs.weight_files import identify, read_header, sha256_of
from tool_specs.weight_identity import Kind, Shapes, WeightsIdentity, identify_tensors, lora_variant

UNET = "model.diffusion_model.input_blocks.1.1.transformer_blocks.0.attn2.to_k.weight"
KOHYA = "lora_unet_down_blocks_1_attentions_0_transformer_blocks_0_attn2_to_k"

IDENTITIES: dict[str, tuple[Shapes, Kind, str, str]] = {
    "sd15 checkpoint": ({UNET: (320, 768)}, "checkpoint", "sd15", "sd1"),
    "sd2 checkpoint": ({UNET: (320, 1024)}, "checkpoint", "sd2", "sd2"),
    "pocket checkpoint": (
        {UNET: (80, 96), "first_stage_model.decoder.conv_in.weight": (8, 4, 3, 3)},
        "checkpoint",
        "pocket",
        "pocket",
    ),
    "sdxl checkpoint": (
        {UNET: (640, 2048), "conditioner.embedders.1.model.ln_final.weight": (1280,)},
        "checkpoint",
        "sdxl",
        "sdxl",
    ),
    "diffusers unet": (
        {"down_blocks.0.attentions.0.transformer_blocks.0.attn2.to_k.weight": (320, 768)},
        "checkpoint",
        "sd15",
        "sd1",
    ),
    "flux": (
        {"model.diffusion_model.double_blocks.0.img_attn.qkv.weight": (9216, 3072)},
        "checkpoint",
        "flux1",
        "flux1",
    ),
    "bare flux": ({"double_blocks.0.img_attn.qkv.weight": (9216, 3072)}, "checkpoint", "flux1", "flux1"),
    "sd3 medium": (
        {"model.diffusion_model.joint_blocks.0.x_block.attn.qkv.weight": (1, 1)},
        "checkpoint",
        "sd35",
        "sd3-medium",
    ),
    "sd3.5 medium": (
        {"model.diffusion_model.joint_blocks.0.x_block.attn2.qkv.weight": (1, 1)},
        "checkpoint",
        "sd35",
        "sd35-medium",
    ),
    "sd3.5 large": (
        {f"model.diffusion_model.joint_blocks.{n}.x_block.attn.qkv.weight": (1, 1) for n in range(38)},
        "checkpoint",
        "sd35",
        "sd35-large",
    ),
    "sd15 kohya": ({f"{KOHYA}.lora_down.weight": (8, 768), f"{KOHYA}.lora_up.weight": (320, 8)}, "lora", "sd15", "sd1"),
    "pocket kohya": ({f"{KOHYA}.lora_down.weight": (8, 96), f"{KOHYA}.alpha": ()}, "lora", "pocket", "pocket"),
    "sdxl kohya": ({f"{KOHYA}.lora_down.weight": (8, 2048)}, "lora", "sdxl", "sdxl"),
    "sdxl by its second text encoder": (
        {"lora_te2_text_model_encoder_layers_0_mlp_fc1.lora_down.weight": (8, 1280)},
        "lora",
        "sdxl",
        "sdxl",
    ),
    "loha": ({f"{KOHYA}.hada_w1_b": (8, 768), f"{KOHYA}.hada_w1_a": (320, 8)}, "lora", "sd15", "sd1"),
    "lokr": ({f"{KOHYA}.lokr_w1": (8, 32), f"{KOHYA}.lokr_w2": (40, 64)}, "lora", "sdxl", "sdxl"),
    "lokr of low rank": (
        {f"{KOHYA}.lokr_w1_a": (8, 4), f"{KOHYA}.lokr_w1_b": (4, 16), f"{KOHYA}.lokr_w2_b": (4, 48)},
        "lora",
        "sd15",
        "sd1",
    ),
    "ia3": ({f"{KOHYA}.on_input": (), f"{KOHYA}.weight": (1,)}, "lora", "other", ""),
    "text encoder only": (
        {"lora_te_text_model_encoder_layers_0_self_attn_q_proj.lora_down.weight": (8, 768)},
        "lora",
        "sd15",
        "sd1",
    ),
    "peft": (
        {"unet.down_blocks.0.attentions.0.transformer_blocks.0.attn2.to_k.lora_A.weight": (8, 2048)},
        "lora",
        "sdxl",
        "sdxl",
    ),
    "chroma": (
        {"double_blocks.0.img_attn.qkv.weight": (1, 1), "distilled_guidance_layer.in_proj.weight": (1, 1)},
        "checkpoint",
        "chroma",
        "chroma",
    ),
    "flux diffusers": ({"single_transformer_blocks.0.attn.to_k.weight": (1, 1)}, "checkpoint", "flux1", "flux1"),
    "qwen": (
        {"model.diffusion_model.transformer_blocks.0.img_mod.1.weight": (1, 1)},
        "checkpoint",
        "qwen",
        "qwen",
    ),
    "z-image": (
        {"noise_refiner.0.attention.qkv.weight": (1, 1), "cap_pad_token": (1, 1)},
        "checkpoint",
        "zimage",
        "zimage",
    ),
    "lumina": ({"noise_refiner.0.attention.qkv.weight": (1, 1)}, "checkpoint", "other", ""),
    "qwen kohya": (
        {"lora_unet_transformer_blocks_7_img_mlp_net_0_proj.lora_down.weight": (8, 3072)},
        "lora",
        "qwen",
        "qwen",
    ),
    "z-image peft": (
        {"diffusion_model.layers.3.attention.to_q.lora_A.weight": (8, 3840)},
        "lora",
        "zimage",
        "zimage",
    ),
    "flux kohya": ({"lora_unet_double_blocks_0_img_attn_proj.lora_down.weight": (16, 3072)}, "lora", "flux1", "flux1"),
    "flux peft": (
        {"transformer.single_transformer_blocks.0.attn.to_k.lora_A.weight": (16, 3072)},
        "lora",
        "flux1",
        "flux1",
    ),
    "conv only": ({"lora_unet_conv_in.lora_down.weight": (8, 4, 3, 3)}, "lora", "other", ""),
    "a1111 embedding": ({"emb_params": (3, 768)}, "embedding", "sd15", "sd1"),
    "pocket embedding": ({"emb_params": (2, 96)}, "embedding", "pocket", "pocket"),
    "sdxl embedding": ({"clip_l": (3, 768), "clip_g": (3, 1280)}, "embedding", "sdxl", "sdxl"),
    "vae": (
        {"decoder.conv_in.weight": (512, 4, 3, 3), "encoder.conv_in.weight": (1, 1), "a": (1,), "b": (1,), "c": (1,)},
        "vae",
        "other",
        "",
    ),
    "nothing known": ({"weight": (2, 2), "bias": (2,)}, "unknown", "other", ""),
    "empty": ({}, "unknown", "other", ""),
}


@pytest.mark.parametrize("case", IDENTITIES)
def test_weights_are_identified_by_names_and_shapes(case: str) -> None:
    shapes, kind, family, architecture = IDENTITIES[case]
    assert identify_tensors(shapes, {}) == WeightsIdentity(kind, family, architecture)


@pytest.mark.parametrize(
    ("parts", "variant"),
    [
        (("lora_down.weight", "lora_up.weight", "alpha"), "lora"),
        (("lora_A.weight", "lora_B.weight"), "lora"),
        (("lora_down.weight", "lora_mid.weight", "lora_up.weight"), "lycoris"),
        (("lora_down.weight", "lora_up.weight", "dora_scale"), "lycoris"),
        (("hada_w1_a", "hada_w1_b"), "lycoris"),
        (("lokr_w1", "lokr_w2_a"), "lycoris"),
        (("diff_b",), "lycoris"),
        (("w_norm", "b_norm"), "lycoris"),
        (("oft_blocks", "lora_down.weight"), "oft"),
        (("a1.weight", "b2.weight"), "glora"),
        (("weight", "on_input"), "ia3"),
    ],
)
def test_loras_are_told_apart_by_how_they_change_weights(parts: tuple[str, ...], variant: str) -> None:
    assert lora_variant(f"{KOHYA}.{part}" for part in parts) == variant


@pytest.mark.parametrize(
    ("label", "family"),
    [
        ("sd_v1", "sd15"),
        ("sdxl_base_v1-0", "sdxl"),
        ("flux1", "flux1"),
        ("sd_v2", "sd2"),
        ("z-image", "zimage"),
        ("Qwen-Image", "qwen"),
        ("anima", "other"),
    ],
)
def test_metadata_decides_where_tensors_do_not_say(label: str, family: str) -> None:
    identity = identify_tensors(IDENTITIES["conv only"][0], {"ss_base_model_version": label})
    assert (identity.kind, identity.family) == ("lora", family)


def test_only_metadata_tells_a_network_for_chroma_from_one_for_flux() -> None:
    shapes = IDENTITIES["flux kohya"][0]
    assert identify_tensors(shapes, {"modelspec.architecture": "Chroma1-HD/lora"}).architecture == "chroma"
    assert identify_tensors(shapes, {"ss_base_model_version": "sd_v1"}).architecture == "flux1"


@pytest.fixture
def weights(tmp_path: Path) -> Path:
    path = tmp_path / "lora.safetensors"
    tensors = {f"{KOHYA}.lora_down.weight": np.ones((8, 96), np.float16), f"{KOHYA}.alpha": np.array(4.0, np.float32)}
    save_file(tensors, path, metadata={"ss_base_model_version": "pocket"})
    return path


def test_a_real_file_is_read_without_its_tensors(weights: Path) -> None:
    header = read_header(weights)

    assert header.metadata == {"ss_base_model_version": "pocket"}
    assert header.tensors[f"{KOHYA}.lora_down.weight"].shape == (8, 96)
    assert header.tensors[f"{KOHYA}.alpha"].dtype == "F32"
    assert identify(weights).family == "pocket"


def test_a_file_that_changes_in_place_is_read_again(weights: Path) -> None:
    before, times = read_header(weights), weights.stat()
    weights.write_bytes(weights.read_bytes().replace(b"alpha", b"gamma"))
    os.utime(weights, ns=(times.st_atime_ns, times.st_mtime_ns))

    assert {name.replace("alpha", "gamma") for name in before.tensors} == set(read_header(weights).tensors)
    assert f"{KOHYA}.gamma" in read_header(weights).tensors


def test_a_header_of_megabytes_is_read_as_well(weights: Path) -> None:
    tensors = {"emb_params": np.ones((3, 96), np.float32)}
    save_file(tensors, weights, metadata={"notes": "long " * 600_000})

    assert read_header(weights).tensors["emb_params"].shape == (3, 96)
    assert len(read_header(weights).metadata["notes"]) == 3_000_000


def test_the_hash_is_the_one_civitai_shows(weights: Path) -> None:
    seen: list[tuple[int, int]] = []
    size = weights.stat().st_size

    assert sha256_of(weights, on_progress=lambda done, total: seen.append((done, total))) == (
        hashlib.sha256(weights.read_bytes()).hexdigest().upper()
    )
    assert seen == [(size, size)]
    with pytest.raises(WeightsError, match="cannot be read"):
        sha256_of(weights.with_name("none"))


def test_what_is_no_safetensors_file_is_named(tmp_path: Path) -> None:
    zipped = tmp_path / "model.safetensors"
    with zipfile.ZipFile(zipped, "w") as archive:
        archive.writestr("archive/data.pkl", pickle.dumps({"state_dict": {}}))
    contents = {
        "pickle": pickle.dumps({"a": 1}),
        "web page": b"<!DOCTYPE html><title>Log in</title>",
        "JSON": b'{"error":"Unauthorized","message":"log in"}',
        "GGUF": b"GGUF\x03\x00\x00\x00\x00\x00",
        "truncated": b"",
        "truncated or": b"\x10\x00\x00",
    }
    with pytest.raises(WeightsError, match="pickle"):
        read_header(zipped)
    for what, content in contents.items():
        path = tmp_path / f"{what.replace(' ', '_')}.safetensors"
        path.write_bytes(content)
        with pytest.raises(WeightsError, match=what):
            read_header(path)


@pytest.mark.parametrize("suffix", [".ckpt", ".pt", ".PTH", ".bin"])
def test_a_pickle_by_name_is_refused_whatever_it_holds(weights: Path, suffix: str) -> None:
    renamed = weights.rename(weights.with_suffix(suffix))
    with pytest.raises(WeightsError, match=r"only \.safetensors files are loaded"):
        identify(renamed)


@pytest.mark.parametrize("length", [0x3C, 0x7B, 0x280, 0x480])
def test_a_header_length_that_spells_another_magic_is_still_safetensors(tmp_path: Path, length: int) -> None:
    header = json.dumps({"a": {"dtype": "U8", "shape": [1], "data_offsets": [0, 1]}}).ljust(length)
    path = tmp_path / "odd.safetensors"
    path.write_bytes(len(header).to_bytes(8, "little") + header.encode() + b"\x00")

    assert read_header(path).tensors["a"].shape == (1,)
    assert load_file(path)["a"].shape == (1,)


@pytest.mark.parametrize(
    "header",
    [
        [],
        {"a": 1},
        {"a": {"dtype": "U8", "shape": [1]}},
        {"a": {"dtype": "X8", "shape": [1], "data_offsets": [0, 1]}},
        {"a": {"dtype": "U8", "shape": [-1], "data_offsets": [0, 1]}},
        {"a": {"dtype": "U8", "shape": [2], "data_offsets": [0, 1]}},
        {"a": {"dtype": "U8", "shape": [1], "data_offsets": [1, 2]}},
        {"a": {"dtype": "U8", "shape": [1], "data_offsets": [0, 10**30]}},
        {"a": {"dtype": "U8", "shape": [10**30, 0], "data_offsets": [0, 0]}},
        {"__metadata__": 1},
    ],
)
def test_malformed_headers_are_refused(tmp_path: Path, header: object) -> None:
    raw = json.dumps(header).encode()
    path = tmp_path / "bad.safetensors"
    path.write_bytes(len(raw).to_bytes(8, "little") + raw + b"\x00")
    with pytest.raises(WeightsError, match="download it again"):
        read_header(path)


@given(cut=st.integers(min_value=1, max_value=10_000))
def test_every_truncation_is_noticed(tmp_path_factory: pytest.TempPathFactory, cut: int) -> None:
    path = tmp_path_factory.mktemp("cut") / "a.safetensors"
    save_file({"emb_params": np.ones((3, 96), np.float32)}, path)
    whole = path.read_bytes()
    path.write_bytes(whole[: max(0, len(whole) - cut)])
    with pytest.raises(WeightsError, match=str(path)):
        identify(path)


@given(position=st.integers(min_value=0, max_value=150), value=st.integers(min_value=0, max_value=255))
def test_a_damaged_byte_is_refused_or_harmless(
    tmp_path_factory: pytest.TempPathFactory, position: int, value: int
) -> None:
    path = tmp_path_factory.mktemp("flip") / "a.safetensors"
    save_file({"emb_params": np.ones((3, 96), np.float32)}, path)
    damaged = bytearray(path.read_bytes())
    damaged[position] = value
    path.write_bytes(damaged)
    with contextlib.suppress(WeightsError):
        identify(path)
