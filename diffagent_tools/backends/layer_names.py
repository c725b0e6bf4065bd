"""The names under which trainers write the layers of a pipeline.

kohya joins a layer's path with underscores behind a prefix for its model. The path is the one of diffusers, or for
SDXL that of the original code, which numbers the UNet's blocks in one list down and one list up.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

from diffagent_tools.ldm import unet_layer, unet_places

if TYPE_CHECKING:
    from diffusers import DiffusionPipeline
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


def named_layers(pipeline: DiffusionPipeline) -> dict[str, nn.Module]:
    """Every layer with a weight, under each name that trainers give it."""
    layers: dict[str, nn.Module] = {}
    for component, prefixes in _PREFIXES.items():
        model = getattr(pipeline, component, None)
        if model is None:
            continue
        places = unet_places(model) if component == "unet" else {}
        for name, layer in model.named_modules():
            if "weight" not in layer._parameters:  # a wrapper of peft shows its layer's weight as its own
                continue
            path = name.replace(".base_layer", "")
            for spelling in _spellings(component, path, places):
                layers.update((prefix + spelling.replace(".", "_"), layer) for prefix in prefixes)
    return layers


def _spellings(component: str, path: str, places: Mapping[str, str]) -> Iterator[str]:
    yield path
    if component.startswith("text_encoder"):
        # transformers 5 has left this part of the path out; files keep it.
        yield "text_model." + path.removeprefix("text_model.")
    elif original := unet_layer(path, places):
        yield original
