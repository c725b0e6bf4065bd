from __future__ import annotations

import hashlib
from pathlib import Path

import pytest
import torch
from diffusers import UNet2DConditionModel
from safetensors import safe_open
from torch import Tensor
from transformers import CLIPTokenizer

from finetune.pocket.kohya import save_embedding, save_kohya_lora
from finetune.pocket.tokenizer import build_tokenizer
from tests.tiny_world import LORA_LAYERS, lora_layers, tiny_modules, tiny_pipeline, tiny_unet
from tool_specs.exceptions import WeightsError

METADATA = {"ss_base_model_version": "pocket"}


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory: pytest.TempPathFactory) -> CLIPTokenizer:
    return build_tokenizer(tmp_path_factory.mktemp("tokenizer"))


def _merged(unet: UNet2DConditionModel, layers: dict[str, tuple[Tensor, Tensor]], scale: float) -> UNet2DConditionModel:
    """The UNet with the LoRA added to its weights by hand."""
    with torch.no_grad():
        for name, (down, up) in layers.items():
            weight = unet.get_submodule(name).weight
            update = up.flatten(1) @ down.flatten(1)
            weight += scale * update.reshape(weight.shape)
    return unet


def _noise_prediction(unet: UNet2DConditionModel) -> Tensor:
    generator = torch.Generator().manual_seed(1)
    latents = torch.randn(2, 4, 16, 16, generator=generator)
    states = torch.randn(2, 32, 96, generator=generator)
    with torch.no_grad():
        prediction: Tensor = unet(latents, torch.tensor([300, 900]), states).sample
    return prediction


@pytest.mark.parametrize(("alpha", "weight"), [(4.0, 1.0), (4.0, 0.6), (1.0, 1.0), (8.0, -0.5)])
def test_every_kind_of_layer_acts_like_merging_by_hand(
    tmp_path: Path, tokenizer: CLIPTokenizer, alpha: float, weight: float
) -> None:
    layers = lora_layers(tiny_unet(1), seed=3)
    path = tmp_path / "style.safetensors"
    save_kohya_lora(path, layers, alpha=alpha, metadata=METADATA, dtype=torch.float32)
    pipeline = tiny_pipeline(tiny_modules(1, tokenizer))
    pipeline.load_lora_weights(str(path), adapter_name="style")
    pipeline.set_adapters(["style"], [weight])
    expected = _noise_prediction(_merged(tiny_unet(1), layers, alpha / 4 * weight))
    plain = _noise_prediction(tiny_unet(1))
    assert (expected - plain).abs().max() > 0.02
    torch.testing.assert_close(_noise_prediction(pipeline.unet), expected, atol=2e-5, rtol=1e-4)


def test_two_loras_at_once_act_like_merging_both_by_hand(tmp_path: Path, tokenizer: CLIPTokenizer) -> None:
    pipeline = tiny_pipeline(tiny_modules(1, tokenizer))
    expected = tiny_unet(1)
    for seed, weight in ((3, 0.7), (4, -0.4)):
        layers = lora_layers(tiny_unet(1), seed=seed)
        path = tmp_path / f"style{seed}.safetensors"
        save_kohya_lora(path, layers, alpha=4.0, metadata=METADATA, dtype=torch.float32)
        pipeline.load_lora_weights(str(path), adapter_name=path.stem)
        _merged(expected, layers, weight)
    pipeline.set_adapters(["style3", "style4"], [0.7, -0.4])
    torch.testing.assert_close(_noise_prediction(pipeline.unet), _noise_prediction(expected), atol=2e-5, rtol=1e-4)


@pytest.mark.parametrize("name", LORA_LAYERS)
def test_each_layer_alone_acts_like_merging_by_hand(tmp_path: Path, tokenizer: CLIPTokenizer, name: str) -> None:
    layers = {name: lora_layers(tiny_unet(1), seed=3)[name]}
    path = tmp_path / "style.safetensors"
    save_kohya_lora(path, layers, alpha=2.0, metadata=METADATA, dtype=torch.float32)
    pipeline = tiny_pipeline(tiny_modules(1, tokenizer))
    pipeline.load_lora_weights(str(path), adapter_name="style")
    expected = _noise_prediction(_merged(tiny_unet(1), layers, 0.5))
    assert (expected - _noise_prediction(tiny_unet(1))).abs().max() > 1e-5
    torch.testing.assert_close(_noise_prediction(pipeline.unet), expected, atol=2e-5, rtol=1e-4)


def test_names_and_metadata_are_those_of_sd_scripts(tmp_path: Path) -> None:
    path = tmp_path / "style.safetensors"
    save_kohya_lora(path, lora_layers(tiny_unet(1), seed=3), alpha=4.0, metadata=METADATA)
    raw = path.read_bytes()
    with safe_open(path, framework="pt") as file:
        assert file.get_tensor("lora_unet_conv_in.alpha").item() == 4.0
        stem = "lora_unet_up_blocks_0_attentions_0_transformer_blocks_0_attn1_to_out_0"
        assert file.get_slice(f"{stem}.lora_down.weight").get_shape() == [4, 112]
        metadata = file.metadata()
    assert metadata["ss_base_model_version"] == "pocket"
    assert (metadata["ss_network_dim"], metadata["ss_network_alpha"]) == ("4", "4.0")
    assert metadata["ss_network_args"] == '{"conv_dim": "4", "conv_alpha": "4.0"}'
    tensors = raw[8 + int.from_bytes(raw[:8], "little") :]
    assert metadata["sshs_model_hash"] == hashlib.sha256(tensors).hexdigest()


@pytest.mark.parametrize(
    ("down", "up"),
    [((4, 8), (8, 3)), ((4, 8, 3, 3), (8, 4, 3, 3)), ((4, 8), (8, 4, 1, 1)), ((4, 8, 3), (8, 4, 1))],
)
def test_pairs_that_do_not_fit_are_refused(tmp_path: Path, down: tuple[int, ...], up: tuple[int, ...]) -> None:
    with pytest.raises(WeightsError, match="layer 'conv_in' has down"):
        save_kohya_lora(
            tmp_path / "x.safetensors", {"conv_in": (torch.zeros(down), torch.zeros(up))}, alpha=1.0, metadata={}
        )
    assert not list(tmp_path.iterdir())


def test_a_lora_without_layers_is_refused(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match="no layers"):
        save_kohya_lora(tmp_path / "x.safetensors", {}, alpha=1.0, metadata={})


def test_an_embedding_is_a_word_of_several_vectors(tmp_path: Path, tokenizer: CLIPTokenizer) -> None:
    vectors = torch.randn(2, 96, generator=torch.Generator().manual_seed(1))
    path = tmp_path / "mintcolor.safetensors"
    save_embedding(path, vectors, dtype=torch.float32)
    pipeline = tiny_pipeline(tiny_modules(1, tokenizer))
    pipeline.load_textual_inversion(str(path), token=path.stem)
    ids = pipeline.tokenizer.convert_tokens_to_ids(["mintcolor", "mintcolor_1"])
    assert torch.equal(pipeline.text_encoder.get_input_embeddings().weight[ids], vectors)


def test_an_embedding_is_a_matrix(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match="not \\(96,\\)"):
        save_embedding(tmp_path / "x.safetensors", torch.zeros(96))
