from __future__ import annotations

from pathlib import Path

import pytest
import torch
from diffusers import StableDiffusionPipeline
from safetensors.torch import load_file, save_file

from diffagent_tools.backends import DiffusersBackend
from diffagent_tools.ldm import VAE_PREFIX, vae_keys
from tests.diffagent_tools.conftest import Studio
from tests.tiny_families import assert_alike, build_sd15, drawn_by_hand, tiny_vae
from tests.tiny_world import Shelf
from tool_specs.calls import LoraUse, PocketCall, StableDiffusion15Call
from tool_specs.exceptions import CallError, WeightsError


@pytest.fixture(scope="module")
def sd15(tmp_path_factory: pytest.TempPathFactory) -> tuple[StableDiffusionPipeline, Path]:
    return build_sd15(tmp_path_factory.mktemp("sd15"))


def _vae_file(folder: Path, layout: str, seed: int = 5) -> Path:
    """A VAE file as it is shared: with the original names alone or behind the checkpoint's prefix, or diffusers'."""
    vae = tiny_vae(seed)
    state = vae.state_dict()
    prefix = VAE_PREFIX if layout == "in a checkpoint" else ""
    names = {name: name for name in state} if layout == "diffusers" else vae_keys(vae)
    path = folder / "other.safetensors"
    # In the original code the attention's projections are 1×1 convolutions.
    save_file(
        {
            prefix + key: state[name][:, :, None, None]
            if ".attn_1." in key and state[name].dim() == 2
            else state[name].contiguous()
            for name, key in names.items()
        },
        path,
    )
    return path


@pytest.mark.parametrize("layout", ["original", "in a checkpoint", "diffusers"])
def test_another_vae_decodes_one_call(sd15: tuple[StableDiffusionPipeline, Path], tmp_path: Path, layout: str) -> None:
    pipeline, folder = sd15
    shelf = Shelf()
    checkpoint = shelf.put(1, "Checkpoint", folder / "model.safetensors", base_model="SD 1.5")
    other = shelf.put(2, "VAE", _vae_file(tmp_path, layout), base_model="SD 1.4")
    configs = {"sd15": folder / "config"}
    backend = DiffusersBackend(shelf.catalog, device="cpu", files=shelf.file_of, configs=configs)
    call = StableDiffusion15Call(checkpoint=checkpoint, prompt="a fox", steps=1, width=256, height=256, seed=1)
    with_other = call.model_copy(update={"loras": (LoraUse(id=other),)})
    plain = backend.draw(call).image
    decoded = backend.draw(with_other).image
    assert decoded.tobytes() != plain.tobytes()
    own = pipeline.vae
    pipeline.vae = tiny_vae(5)
    try:
        assert_alike(decoded, drawn_by_hand(pipeline, call, prompt="a fox"))
    finally:
        pipeline.vae = own
    assert backend.draw(call).image.tobytes() == plain.tobytes()
    assert backend.draw(with_other).image.tobytes() == decoded.tobytes()
    assert backend.checkpoint_loads == 1


def _call(studio: Studio, *networks: str) -> PocketCall:
    return PocketCall(
        checkpoint=studio.checkpoints[0],
        prompt="a fox",
        steps=2,
        width=32,
        height=32,
        seed=1,
        loras=tuple(LoraUse(id=network) for network in networks),
    )


def _pocket_vae(studio: Studio, path: Path, *, without: str = "", scale: float = 1.0) -> Path:
    tensors = load_file(studio.world.checkpoints[1])
    kept = {name: tensor * scale for name, tensor in tensors.items() if name.startswith(VAE_PREFIX) and name != without}
    save_file(kept, path)
    return path


def test_a_vae_goes_with_other_networks(studio: Studio, tmp_path: Path) -> None:
    vae = studio.shelf.put(41, "VAE", _pocket_vae(studio, tmp_path / "bright.safetensors", scale=1.1))
    backend = studio.backend()
    pictures = {
        backend.draw(_call(studio, *networks)).image.tobytes()
        for networks in ((), (vae,), (studio.loras[0],), (vae, studio.loras[0]), (vae,), ())
    }
    assert len(pictures) == 4


def test_a_vae_that_was_replaced_is_loaded_again(studio: Studio, tmp_path: Path) -> None:
    path = _pocket_vae(studio, tmp_path / "own.safetensors")
    vae = studio.shelf.put(41, "VAE", path)
    backend = studio.backend()
    before = backend.draw(_call(studio, vae)).image.tobytes()
    _pocket_vae(studio, path, scale=1.1)
    assert backend.draw(_call(studio, vae)).image.tobytes() != before


def test_a_vae_that_lacks_a_tensor_is_named_and_leaves_nothing_behind(studio: Studio, tmp_path: Path) -> None:
    path = _pocket_vae(studio, tmp_path / "half.safetensors", without=f"{VAE_PREFIX}decoder.conv_out.weight")
    half = studio.shelf.put(41, "VAE", path)
    backend = studio.backend()
    plain = backend.draw(_call(studio)).image.tobytes()
    with pytest.raises(WeightsError, match=r"half\.safetensors could not be loaded as the VAE of Tiny Checkpoint 1: "):
        backend.draw(_call(studio, half))
    assert backend.draw(_call(studio)).image.tobytes() == plain


def test_a_vae_of_other_shapes_is_named(studio: Studio, tmp_path: Path) -> None:
    wide = studio.shelf.put(41, "VAE", _vae_file(tmp_path, "original"))
    with pytest.raises(WeightsError, match=r"other\.safetensors could not be loaded as the VAE"):
        studio.backend().draw(_call(studio, wide))


def test_what_cannot_be_used_is_refused_before_anything_is_loaded(studio: Studio, tmp_path: Path) -> None:
    first = studio.shelf.put(41, "VAE", _pocket_vae(studio, tmp_path / "first.safetensors"))
    second = studio.shelf.put(42, "VAE", _pocket_vae(studio, tmp_path / "second.safetensors"))
    xl = studio.shelf.put(43, "VAE", tmp_path / "first.safetensors", base_model="SDXL 1.0")
    lora = studio.shelf.put(44, "VAE", studio.world.loras[0])
    hypernetwork = studio.shelf.put(45, "Hypernetwork", tmp_path / "first.safetensors")
    turned = tmp_path / "turned.safetensors"
    save_file({"oft_unet_conv_in.oft_blocks": torch.ones(4, 4, 4)}, turned)
    oft = studio.shelf.put(46, "LoCon", turned)
    backend = studio.backend()
    for networks, error, reason in (
        ((first, second), CallError, "names 2 VAEs, .* leave one out"),
        ((xl,), CallError, "is for SDXL 1.0 .*is Pocket"),
        ((lora,), WeightsError, "holds lora weights, but civitai:44@144 is a VAE"),
        ((hypernetwork,), CallError, "Hypernetwork, which is shared as a pickle only"),
        ((oft,), WeightsError, r"turned\.safetensors cannot be used: it is an OFT network"),
    ):
        with pytest.raises(error, match=reason):
            backend.draw(_call(studio, *networks))
    assert backend.checkpoint_loads == 0
