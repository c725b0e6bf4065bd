"""The original LDM (CompVis) single-file layout: what Stable Diffusion 1.x checkpoints are shared as.

diffusers splits the UNet into down, mid and up blocks; the original code numbers one flat list of input blocks, a
middle block and a flat list of output blocks. Nothing here depends on how many levels a network has.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

from tool_specs.exceptions import WeightsError

if TYPE_CHECKING:
    from diffusers import AutoencoderKL, UNet2DConditionModel
    from torch import Tensor
    from transformers import CLIPTextModel, CLIPTextModelWithProjection

UNET_PREFIX = "model.diffusion_model."
VAE_PREFIX = "first_stage_model."
TEXT_PREFIX = "cond_stage_model.transformer."

_UNET_OUTER: Final = MappingProxyType(
    {
        "time_embedding.linear_1": "time_embed.0",
        "time_embedding.linear_2": "time_embed.2",
        "add_embedding.linear_1": "label_emb.0.0",
        "add_embedding.linear_2": "label_emb.0.2",
        "conv_in": "input_blocks.0.0",
        "conv_norm_out": "out.0",
        "conv_out": "out.2",
    }
)
"""Layers of a UNet outside of its blocks: diffusers' name to the original one."""
_UNET_MIDDLE: Final = MappingProxyType(
    {
        "mid_block.resnets.0": "middle_block.0",
        "mid_block.attentions.0": "middle_block.1",
        "mid_block.resnets.1": "middle_block.2",
    }
)
"""Likewise the parts of its middle block."""
_UNET_RESNET: Final = MappingProxyType(
    {
        "norm1": "in_layers.0",
        "conv1": "in_layers.2",
        "time_emb_proj": "emb_layers.1",
        "norm2": "out_layers.0",
        "conv2": "out_layers.3",
        "conv_shortcut": "skip_connection",
    }
)
"""Likewise the layers of a residual block."""
_VAE_ATTENTION = {"group_norm": "norm", "to_q": "q", "to_k": "k", "to_v": "v", "to_out.0": "proj_out"}
_UNET_PART = re.compile(
    r"(?P<place>(?:(?:down|up)_blocks\.\d+|mid_block)\.(?P<part>resnets|attentions|downsamplers|upsamplers)\.\d+)"
    r"\.(?P<rest>.+)"
)
_VAE_BLOCK = re.compile(
    r"(?P<side>down|up)_blocks\.(?P<block>\d+)\.(?P<part>resnets|attentions|downsamplers|upsamplers)\.(?P<layer>\d+)"
    r"\.(?P<rest>.+)"
)
_VAE_MIDDLE = re.compile(r"mid_block\.(?P<part>resnets|attentions)\.(?P<layer>\d+)\.(?P<rest>.+)")


def unet_keys(unet: UNet2DConditionModel) -> dict[str, str]:
    """Name of every UNet tensor in diffusers to its name in the original layout, without `UNET_PREFIX`.

    Raises:
        WeightsError: A tensor has no place in the layout (class embeddings, motion modules, ...).
    """
    if not isinstance(unet.config["layers_per_block"], int):
        msg = f"layers_per_block is {unet.config['layers_per_block']!r}; the LDM layout needs one number for all levels"
        raise WeightsError(msg)
    places = unet_places(unet)

    def ldm_key(name: str) -> str | None:
        layer, _, tensor = name.rpartition(".")
        path = unet_layer(layer, places)
        return f"{path}.{tensor}" if path else None

    return _keys(unet.state_dict(), ldm_key, "UNet")


def unet_places(unet: UNet2DConditionModel) -> dict[str, str]:
    """Path of every part of a UNet's blocks in diffusers to its path in the original layout."""
    places = dict(_UNET_MIDDLE)
    number = 1
    for level, block in enumerate(unet.down_blocks):
        for layer in range(len(block.resnets)):
            places[f"down_blocks.{level}.resnets.{layer}"] = f"input_blocks.{number}.0"
            places[f"down_blocks.{level}.attentions.{layer}"] = f"input_blocks.{number}.1"
            number += 1
        if block.downsamplers:
            places[f"down_blocks.{level}.downsamplers.0"] = f"input_blocks.{number}.0"
            number += 1
    number = 0
    for level, block in enumerate(unet.up_blocks):
        for layer in range(len(block.resnets)):
            places[f"up_blocks.{level}.resnets.{layer}"] = f"output_blocks.{number}.0"
            places[f"up_blocks.{level}.attentions.{layer}"] = f"output_blocks.{number}.1"
            number += 1
        if block.upsamplers:
            last = 2 if getattr(block, "attentions", None) else 1
            places[f"up_blocks.{level}.upsamplers.0"] = f"output_blocks.{number - 1}.{last}"
    return places


def unet_layer(path: str, places: Mapping[str, str]) -> str | None:
    """Path of a UNet's layer in the original layout; None where it has none.

    Args:
        path: The layer's in diffusers.
        places: `unet_places` of the UNet.
    """
    if path in _UNET_OUTER:
        return _UNET_OUTER[path]
    match = _UNET_PART.fullmatch(path)
    if match is None or match["place"] not in places:
        return None
    rest = match["rest"]
    if match["part"] == "resnets":
        rest = _UNET_RESNET.get(rest, rest)
    return f"{places[match['place']]}.{'op' if match['part'] == 'downsamplers' else rest}"


def vae_keys(vae: AutoencoderKL) -> dict[str, str]:
    """Name of every VAE tensor in diffusers to its name in the original layout, without `VAE_PREFIX`.

    Raises:
        WeightsError: A tensor has no place in the layout.
    """
    levels = len(vae.config["block_out_channels"])

    def ldm_key(name: str) -> str | None:
        tower, _, inner = name.partition(".")
        if tower not in ("encoder", "decoder"):
            return name if tower in ("quant_conv", "post_quant_conv") else None
        if match := _VAE_MIDDLE.fullmatch(inner):
            if match["part"] == "attentions":
                layer, _, tensor = match["rest"].rpartition(".")
                return f"{tower}.mid.attn_{int(match['layer']) + 1}.{_VAE_ATTENTION.get(layer, layer)}.{tensor}"
            return f"{tower}.mid.block_{int(match['layer']) + 1}.{_shortcut(match['rest'])}"
        if match := _VAE_BLOCK.fullmatch(inner):
            down = match["side"] == "down"
            number = int(match["block"]) if down else levels - 1 - int(match["block"])
            place = f"{tower}.{match['side']}.{number}"
            if match["part"] == "resnets":
                return f"{place}.block.{match['layer']}.{_shortcut(match['rest'])}"
            return f"{place}.{'downsample' if down else 'upsample'}.{match['rest']}"
        return f"{tower}.{inner.replace('conv_norm_out', 'norm_out')}"

    return _keys(vae.state_dict(), ldm_key, "VAE")


def ldm_state(unet: UNet2DConditionModel, vae: AutoencoderKL, text_encoder: CLIPTextModel) -> dict[str, Tensor]:
    """All tensors of a checkpoint under their original names."""
    tensors: dict[str, Tensor] = {}
    unet_state = unet.state_dict()
    for name, key in unet_keys(unet).items():
        tensors[UNET_PREFIX + key] = unet_state[name]
    vae_state = vae.state_dict()
    for name, key in vae_keys(vae).items():
        # The original attention is made of 1×1 convolutions where diffusers has linear layers.
        pointwise = ".mid.attn_" in key and vae_state[name].dim() == 2
        tensors[VAE_PREFIX + key] = vae_state[name][:, :, None, None] if pointwise else vae_state[name]
    for name, tensor in text_encoder.state_dict().items():
        if name.endswith("position_ids"):
            continue
        inner = name if name.startswith("text_model.") else f"text_model.{name}"
        tensors[TEXT_PREFIX + inner] = tensor
    return tensors


def open_clip_state(encoder: CLIPTextModel | CLIPTextModelWithProjection) -> dict[str, Tensor]:
    """The text encoder of SD 2.x, or the second one of SDXL, as OpenCLIP names it."""
    import torch

    state = {name.removeprefix("text_model."): tensor for name, tensor in encoder.state_dict().items()}
    tensors = {
        "positional_embedding": state["embeddings.position_embedding.weight"],
        "token_embedding.weight": state["embeddings.token_embedding.weight"],
        "ln_final.weight": state["final_layer_norm.weight"],
        "ln_final.bias": state["final_layer_norm.bias"],
    }
    if "text_projection.weight" in state:
        tensors["text_projection"] = state["text_projection.weight"].T
    names = {"layer_norm1": "ln_1", "layer_norm2": "ln_2", "mlp.fc1": "mlp.c_fc", "mlp.fc2": "mlp.c_proj"}
    for layer in range(encoder.config.num_hidden_layers):
        old, new = f"encoder.layers.{layer}", f"transformer.resblocks.{layer}"
        for kind in ("weight", "bias"):
            qkv = [state[f"{old}.self_attn.{part}_proj.{kind}"] for part in "qkv"]
            tensors[f"{new}.attn.in_proj_{kind}"] = torch.cat(qkv)
            tensors[f"{new}.attn.out_proj.{kind}"] = state[f"{old}.self_attn.out_proj.{kind}"]
            for theirs, ours in names.items():
                tensors[f"{new}.{ours}.{kind}"] = state[f"{old}.{theirs}.{kind}"]
    return tensors


def _keys(state: Mapping[str, Tensor], ldm_key: Callable[[str], str | None], network: str) -> dict[str, str]:
    keys: dict[str, str] = {}
    for name in state:
        key = ldm_key(name)
        if key is None:
            msg = (
                f"the {network} tensor {name!r} has no place in the LDM layout; save this network with save_pretrained"
            )
            raise WeightsError(msg)
        keys[name] = key
    return keys


def _shortcut(rest: str) -> str:
    return rest.replace("conv_shortcut", "nin_shortcut")
