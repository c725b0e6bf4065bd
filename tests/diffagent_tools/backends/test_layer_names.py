from __future__ import annotations

import pytest
import torch
from diffusers import StableDiffusionXLPipeline

from diffagent_tools.backends.layer_names import named_layers
from diffagent_tools.ldm import unet_keys
from tests.tiny_families import build_sdxl


@pytest.fixture(scope="module")
def pipeline(tmp_path_factory: pytest.TempPathFactory) -> StableDiffusionXLPipeline:
    return build_sdxl(tmp_path_factory.mktemp("sdxl"))[0]


def _weight_names(module: torch.nn.Module) -> list[str]:
    return [name.removesuffix(".weight") for name in module.state_dict() if name.endswith(".weight")]


def test_every_layer_of_the_unet_has_its_name_in_diffusers_and_in_the_original_code(
    pipeline: StableDiffusionXLPipeline,
) -> None:
    layers = named_layers(pipeline)
    original = unet_keys(pipeline.unet)
    names = _weight_names(pipeline.unet)

    assert len(names) > 100
    for name in names:
        layer = pipeline.unet.get_submodule(name)
        ldm = original[f"{name}.weight"].removesuffix(".weight")
        for path in (name, ldm):
            assert layers["lora_unet_" + path.replace(".", "_")] is layer
        assert layers["lycoris_" + name.replace(".", "_")] is layer


@pytest.mark.parametrize(("component", "prefix"), [("text_encoder", "lora_te1_"), ("text_encoder_2", "lora_te2_")])
def test_text_encoders_are_told_apart(pipeline: StableDiffusionXLPipeline, component: str, prefix: str) -> None:
    layers = named_layers(pipeline)
    encoder = getattr(pipeline, component)
    layer = encoder.get_submodule(next(name for name in _weight_names(encoder) if name.endswith("layers.0.mlp.fc1")))

    assert layers[f"{prefix}text_model_encoder_layers_0_mlp_fc1"] is layer


def test_layers_keep_their_names_under_adapters(pipeline: StableDiffusionXLPipeline) -> None:
    before = named_layers(pipeline)
    stem = "lora_unet_mid_block_attentions_0_transformer_blocks_0_attn2_to_k"
    pair = {f"{stem}.lora_down.weight": torch.ones(2, 2048), f"{stem}.lora_up.weight": torch.ones(32, 2)}
    pipeline.load_lora_weights(pair, adapter_name="one")
    try:
        after = named_layers(pipeline)
        assert after[stem] is before[stem]
        assert before.items() <= after.items()
    finally:
        pipeline.delete_adapters("one")
