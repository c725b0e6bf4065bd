from __future__ import annotations

from pathlib import Path

import pytest
import torch
from diffusers import StableDiffusionPipeline, UNet2DConditionModel
from safetensors import safe_open
from torch import nn
from transformers import CLIPTokenizer

from diffagent_tools.ldm import unet_keys, vae_keys
from finetune.pocket.ldm import save_single_file
from finetune.pocket.tokenizer import build_tokenizer
from tests.tiny_world import TinyModules, tiny_modules, tiny_pipeline, tiny_unet, write_config
from tool_specs.exceptions import WeightsError


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory: pytest.TempPathFactory) -> CLIPTokenizer:
    return build_tokenizer(tmp_path_factory.mktemp("tokenizer"))


def _round_trip(modules: TinyModules, folder: Path, dtype: torch.dtype) -> StableDiffusionPipeline:
    config = write_config(modules, folder / "config")
    path = folder / "model.safetensors"
    save_single_file(
        path, unet=modules.unet, vae=modules.vae, text_encoder=modules.text_encoder, metadata={"who": "us"}, dtype=dtype
    )
    return StableDiffusionPipeline.from_single_file(
        str(path), config=str(config), local_files_only=True, torch_dtype=torch.float32
    )


def _largest_difference(left: nn.Module, right: nn.Module) -> float:
    other = right.state_dict()
    assert left.state_dict().keys() == other.keys()
    return max(float((value - other[name]).abs().max()) for name, value in left.state_dict().items())


@pytest.mark.parametrize(
    ("channels", "attention"),
    [((64, 80, 112), "011"), ((32, 64), "10"), ((16, 32, 32, 48), "1110"), ((32, 48, 64), "000")],
)
def test_every_depth_and_attention_pattern_comes_back_exactly_in_float32(
    tmp_path: Path, tokenizer: CLIPTokenizer, channels: tuple[int, ...], attention: str
) -> None:
    modules = tiny_modules(1, tokenizer, tiny_unet(1, channels=channels, attention=attention))
    loaded = _round_trip(modules, tmp_path, torch.float32)
    assert _largest_difference(modules.unet, loaded.unet) == 0
    assert _largest_difference(modules.vae, loaded.vae) == 0
    assert _largest_difference(modules.text_encoder, loaded.text_encoder) == 0


def test_float16_draws_what_the_source_networks_draw(tmp_path: Path, tokenizer: CLIPTokenizer) -> None:
    modules = tiny_modules(1, tokenizer)
    loaded = _round_trip(modules, tmp_path, torch.float16)
    loaded.set_progress_bar_config(disable=True)
    pictures = [
        pipeline(
            "a fox on a red background",
            num_inference_steps=4,
            width=64,
            height=64,
            output_type="np",
            generator=torch.Generator().manual_seed(5),
        ).images
        for pipeline in (tiny_pipeline(modules), loaded)
    ]
    assert pictures[0].std() > 0.01
    assert abs(pictures[0] - pictures[1]).max() < 2e-3


def test_the_file_holds_the_original_names_and_the_metadata(tmp_path: Path, tokenizer: CLIPTokenizer) -> None:
    modules = tiny_modules(1, tokenizer)
    _round_trip(modules, tmp_path, torch.float16)
    with safe_open(tmp_path / "model.safetensors", framework="pt") as file:
        names = set(file.keys())
        assert file.metadata() == {"format": "pt", "who": "us"}
        query = file.get_slice("first_stage_model.decoder.mid.attn_1.q.weight")
        assert query.get_shape() == [64, 64, 1, 1]
        assert query.get_dtype() == "F16"
    assert {
        "model.diffusion_model.input_blocks.0.0.weight",
        "model.diffusion_model.input_blocks.2.0.op.weight",
        "model.diffusion_model.middle_block.1.transformer_blocks.0.attn2.to_k.weight",
        "model.diffusion_model.output_blocks.1.2.conv.weight",
        "model.diffusion_model.out.2.bias",
        "first_stage_model.encoder.down.0.downsample.conv.weight",
        "first_stage_model.decoder.up.2.block.0.conv1.weight",
        "first_stage_model.quant_conv.weight",
        "cond_stage_model.transformer.text_model.embeddings.position_embedding.weight",
    } <= names


def test_no_two_tensors_share_a_name(tokenizer: CLIPTokenizer) -> None:
    modules = tiny_modules(1, tokenizer)
    for keys in (unet_keys(modules.unet), vae_keys(modules.vae)):
        assert len(set(keys.values())) == len(keys)


def test_the_names_are_those_of_stable_diffusion() -> None:
    unet = UNet2DConditionModel(
        block_out_channels=(32, 64, 64, 64), layers_per_block=2, cross_attention_dim=8, norm_num_groups=8
    )
    keys = unet_keys(unet)
    assert keys["up_blocks.3.resnets.2.conv_shortcut.weight"] == "output_blocks.11.0.skip_connection.weight"
    assert keys["down_blocks.2.downsamplers.0.conv.weight"] == "input_blocks.9.0.op.weight"
    assert keys["up_blocks.0.upsamplers.0.conv.bias"] == "output_blocks.2.1.conv.bias"
    assert keys["up_blocks.1.upsamplers.0.conv.bias"] == "output_blocks.5.2.conv.bias"
    assert keys["mid_block.resnets.1.time_emb_proj.weight"] == "middle_block.2.emb_layers.1.weight"


def test_a_tensor_without_a_place_is_named(tokenizer: CLIPTokenizer, tmp_path: Path) -> None:
    unet = tiny_unet(1)
    unet.register_parameter("extra", nn.Parameter(torch.zeros(1)))
    modules = tiny_modules(1, tokenizer, unet)
    with pytest.raises(WeightsError, match="'extra' has no place"):
        save_single_file(tmp_path / "m.safetensors", unet=unet, vae=modules.vae, text_encoder=modules.text_encoder)
    assert not list(tmp_path.iterdir())


def test_values_beyond_float16_are_refused(tokenizer: CLIPTokenizer, tmp_path: Path) -> None:
    modules = tiny_modules(1, tokenizer)
    with torch.no_grad():
        modules.unet.conv_in.bias.fill_(1e6)
    with pytest.raises(WeightsError, match=r"input_blocks\.0\.0\.bias holds values that are not finite"):
        save_single_file(
            tmp_path / "m.safetensors", unet=modules.unet, vae=modules.vae, text_encoder=modules.text_encoder
        )
    assert not list(tmp_path.iterdir())
