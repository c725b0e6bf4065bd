"""The names under which trainers write the layers of a pipeline.

kohya joins a layer's path with underscores behind a prefix for its model. The path is the one of diffusers, or for
SDXL that of the original code, which numbers the UNet's blocks in one list down and one list up.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

from diffagent_tools.ldm import UNET_MIDDLE, UNET_OUTER, UNET_RESNET

if TYPE_CHECKING:
    from diffusers import DiffusionPipeline, UNet2DConditionModel
    from torch import nn

_PREFIXES: Final[Mapping[str, tuple[str, ...]]] = MappingProxyType(
    {
        "unet": ("lora_unet_", "lycoris_", "unet_", "diffusion_model_"),
        "transformer": ("lora_unet_", "lora_transformer_", "lycoris_", "transformer_", "diffusion_model_"),
        "text_encoder": ("lora_te_", "lora_te1_", "text_encoder_"),
        "text_encoder_2": ("lora_te2_", "text_encoder_2_"),
        "text_encoder_3": ("lora_te3_", "text_encoder_3_"),
    }
)
"""Component of a pipeline to what its layers' names begin with."""

_BLOCK = re.compile(
    r"(?P<block>(?:(?:down|up)_blocks\.\d+|mid_block)\.(?P<part>resnets|attentions|downsamplers|upsamplers)\.\d+)"
    r"\.(?P<rest>.+)"
)


def named_layers(pipeline: DiffusionPipeline) -> dict[str, nn.Module]:
    """Every layer with a weight, under each name that trainers give it."""
    layers: dict[str, nn.Module] = {}
    for component, prefixes in _PREFIXES.items():
        model = getattr(pipeline, component, None)
        if model is None:
            continue
        original = _original_paths(model) if component == "unet" else {}
        for name, layer in model.named_modules():
            if "weight" not in layer._parameters:  # a wrapper of peft shows its layer's weight as its own
                continue
            path = name.replace(".base_layer", "")
            for spelling in _spellings(component, path, original):
                layers.update((prefix + spelling.replace(".", "_"), layer) for prefix in prefixes)
    return layers


def _spellings(component: str, path: str, original: Mapping[str, str]) -> Iterator[str]:
    yield path
    if component.startswith("text_encoder"):
        # transformers 5 has left this part of the path out; files keep it.
        yield "text_model." + path.removeprefix("text_model.")
    elif path in UNET_OUTER:
        yield UNET_OUTER[path]
    elif (match := _BLOCK.fullmatch(path)) and match["block"] in original:
        rest = match["rest"]
        if match["part"] == "resnets":
            rest = UNET_RESNET.get(rest, rest)
        yield f"{original[match['block']]}.{'op' if match['part'] == 'downsamplers' else rest}"


def _original_paths(unet: UNet2DConditionModel) -> dict[str, str]:
    """Path of every part of the UNet's blocks to its path in the original code."""
    paths = dict(UNET_MIDDLE)
    number = 1
    for level, block in enumerate(unet.down_blocks):
        for layer in range(len(block.resnets)):
            paths[f"down_blocks.{level}.resnets.{layer}"] = f"input_blocks.{number}.0"
            paths[f"down_blocks.{level}.attentions.{layer}"] = f"input_blocks.{number}.1"
            number += 1
        if block.downsamplers:
            paths[f"down_blocks.{level}.downsamplers.0"] = f"input_blocks.{number}.0"
            number += 1
    number = 0
    for level, block in enumerate(unet.up_blocks):
        for layer in range(len(block.resnets)):
            paths[f"up_blocks.{level}.resnets.{layer}"] = f"output_blocks.{number}.0"
            paths[f"up_blocks.{level}.attentions.{layer}"] = f"output_blocks.{number}.1"
            number += 1
        if block.upsamplers:
            place = 2 if getattr(block, "attentions", None) else 1
            paths[f"up_blocks.{level}.upsamplers.0"] = f"output_blocks.{number - 1}.{place}"
    return paths
