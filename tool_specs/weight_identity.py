"""What a set of tensors is: the kind of weights and the architecture they belong to, from names and shapes alone."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final, Literal

Kind = Literal["checkpoint", "lora", "embedding", "vae", "unknown"]
Shapes = Mapping[str, tuple[int, ...]]
LoraVariant = Literal["lora", "lycoris", "oft", "glora", "ia3"]
"""How the tensors of a LoRA change a weight: "lora" for low-rank pairs alone, "lycoris" for LoHa, LoKr, DoRA, a core
between the pairs, or whole differences, and three that no loader here computes."""


@dataclass(frozen=True, slots=True)
class WeightsIdentity:
    """What a weights file holds.

    Attributes:
        kind: The role of the file.
        family: A name of `FAMILIES`; "other" when the tensors do not say or belong to none that can be drawn.
        architecture: As in `ARCHITECTURES`; empty when the tensors do not say.
    """

    kind: Kind
    family: str = "other"
    architecture: str = ""


_FAMILY_OF_ARCHITECTURE: Final = MappingProxyType(
    {
        "sd1": "sd15", "sd2": "sd2", "sdxl": "sdxl", "flux1": "flux1", "pocket": "pocket",
        "chroma": "chroma", "qwen": "qwen", "zimage": "zimage",
        "sd35-large": "sd35", "sd35-medium": "sd35", "sd3-medium": "sd35",
    }
)  # fmt: skip

_ARCHITECTURE_OF_WIDTH: Final = MappingProxyType({96: "pocket", 768: "sd1", 1024: "sd2", 2048: "sdxl"})
"""Width of the text features that cross-attention reads to the architecture."""

_ARCHITECTURE_OF_LABEL: Final = (
    (re.compile(r"chroma", re.IGNORECASE), "chroma"),
    (re.compile(r"flux", re.IGNORECASE), "flux1"),
    (re.compile(r"qwen[-_ ]?image", re.IGNORECASE), "qwen"),
    (re.compile(r"z[-_]?image", re.IGNORECASE), "zimage"),
    (re.compile(r"sd_?xl|stable-diffusion-xl|sdxl", re.IGNORECASE), "sdxl"),
    (re.compile(r"^sd_?v?1|stable-diffusion-v1", re.IGNORECASE), "sd1"),
    (re.compile(r"^sd_?v?2|stable-diffusion-v2", re.IGNORECASE), "sd2"),
    (re.compile(r"sd3\.?5.*large|stable-diffusion-3\.?5-large", re.IGNORECASE), "sd35-large"),
    (re.compile(r"sd3\.?5.*medium|stable-diffusion-3\.?5-medium", re.IGNORECASE), "sd35-medium"),
)
"""What trainers write into `ss_base_model_version` and `modelspec.architecture`, first match wins."""

_LORA_PART = re.compile(
    r"\.(lora_(?:down|up|A|B)\b|hada_w\d|lokr_w\d|dora_scale|oft_blocks|oft_diag|on_input$|lora\.(?:down|up)\b)"
)
_VARIANTS: Final[tuple[tuple[LoraVariant, re.Pattern[str]], ...]] = (
    ("oft", re.compile(r"\.oft_(?:blocks|diag)\b")),
    ("glora", re.compile(r"\.[ab][12]\.weight$")),
    ("ia3", re.compile(r"\.on_input$")),
    ("lycoris", re.compile(r"\.(?:hada_[wt]\d|lokr_[wt]\d|lora_mid\b|dora_scale$|diff(?:_b)?$|[wb]_norm$)")),
)
"""What only one variant's names hold, first match wins."""

_BACKBONE_PREFIX = (
    "model.diffusion_model.", "double_blocks.", "joint_blocks.", "unet.", "transformer.", "transformer_blocks.",
    "single_transformer_blocks.", "distilled_guidance_layer.", "noise_refiner.",
)  # fmt: skip
_ARCHITECTURE_OF_BLOCK: Final = (
    (re.compile(r"(?:^|\.)distilled_guidance_layer\."), "chroma"),
    (re.compile(r"(?:^|\.)(?:double_blocks|single_transformer_blocks)\.0\."), "flux1"),
    (re.compile(r"(?:^|\.)transformer_blocks\.0\.img_mod\."), "qwen"),
    (re.compile(r"(?:^|\.)cap_pad_token$"), "zimage"),
)
"""Tensors that only the transformers of one architecture have, first match wins: Chroma also has Flux.1's blocks."""

_ARCHITECTURE_OF_LORA_BLOCK: Final = (
    (re.compile(r"distilled_guidance_layer"), "chroma"),
    (re.compile(r"double_blocks|single_blocks|single_transformer_blocks"), "flux1"),
    (re.compile(r"transformer_blocks[._]\d+[._](?:img|txt)_(?:mod|mlp)"), "qwen"),
    (re.compile(r"(?:^|[._])layers[._]\d+[._](?:attention|feed_forward|adaLN_modulation)[._]"), "zimage"),
    (re.compile(r"^lora_te2_"), "sdxl"),
)
"""Likewise for what networks are named after; only metadata or the label tell Chroma's networks from Flux.1's."""

_CONTROL_PREFIX = ("control_model.", "controlnet_", "control_net.")
_LORA_PREFIX = ("lora_unet_", "lora_te", "lora_transformer_", "lycoris_")
_CROSS_KEY = re.compile(r"attn2[._]to_[kv]\b|attn2_to_[kv]\.")
_INPUT_FACTORS = ("to_k.weight", "to_v.weight", "down.weight", "lora_A.weight", "hada_w1_b")
_FIRST_FACTOR = re.compile(r"lokr_w1(?:_b)?$")
_EMBEDDING_KEYS = frozenset({"emb_params", "clip_l", "clip_g", "t5xxl", "string_to_param.*", "<token>"})


def identify_tensors(shapes: Shapes, metadata: Mapping[str, str]) -> WeightsIdentity:
    """Identify weights.

    Args:
        shapes: Tensor name to shape.
        metadata: The header's free text, asked only where the tensors do not say.
    """
    kind = _kind(shapes)
    reader = _ARCHITECTURE_READERS.get(kind)
    said = _from_metadata(metadata) if kind != "unknown" else ""
    architecture = (reader(shapes) if reader else "") or said
    if kind == "lora" and (said, architecture) == ("chroma", "flux1"):
        architecture = said
    return WeightsIdentity(kind, _FAMILY_OF_ARCHITECTURE.get(architecture, "other"), architecture)


def lora_variant(names: Iterable[str]) -> LoraVariant:
    """How a LoRA changes weights, from the names of its tensors."""
    listed = list(names)
    return next((variant for variant, part in _VARIANTS if any(part.search(name) for name in listed)), "lora")


def _kind(shapes: Shapes) -> Kind:
    if any(name.startswith(_CONTROL_PREFIX) for name in shapes):
        # A control network holds a copy of half a backbone, but draws nothing by itself.
        return "unknown"
    if any(name.startswith(_LORA_PREFIX) or _LORA_PART.search(name) for name in shapes):
        return "lora"
    if any(_is_backbone(name) for name in shapes):
        return "checkpoint"
    if _is_embedding(shapes):
        return "embedding"
    if any(name.endswith(("decoder.conv_in.weight", "encoder.conv_in.weight")) for name in shapes):
        return "vae"
    return "unknown"


def _is_backbone(name: str) -> bool:
    """Whether a tensor belongs to what denoises: a UNet or a diffusion transformer."""
    return name.startswith(_BACKBONE_PREFIX) or _CROSS_KEY.search(name) is not None


def _is_embedding(shapes: Shapes) -> bool:
    if len(shapes) > 4 or not shapes:
        return False
    known = _EMBEDDING_KEYS & shapes.keys()
    return bool(known) or (len(shapes) == 1 and len(next(iter(shapes.values()))) in (1, 2))


def _checkpoint_architecture(shapes: Shapes) -> str:
    if any("joint_blocks.0." in name for name in shapes):
        return _sd3_size(shapes)
    return _of_block(shapes, _ARCHITECTURE_OF_BLOCK) or _of_cross_attention(shapes)


def _of_block(names: Iterable[str], blocks: Iterable[tuple[re.Pattern[str], str]]) -> str:
    listed = list(names)
    return next((architecture for block, architecture in blocks if any(map(block.search, listed))), "")


def _sd3_size(shapes: Shapes) -> str:
    """Stable Diffusion 3 by its blocks: 38 in 3.5 Large; 24 otherwise, with a second attention in 3.5 Medium."""
    if any("joint_blocks.37." in name for name in shapes):
        return "sd35-large"
    return "sd35-medium" if any("x_block.attn2." in name for name in shapes) else "sd3-medium"


def _lora_architecture(shapes: Shapes) -> str:
    return _of_block(shapes, _ARCHITECTURE_OF_LORA_BLOCK) or _of_cross_attention(shapes) or _of_text_encoder(shapes)


def _of_cross_attention(shapes: Shapes) -> str:
    """The architecture by the input width of a cross-attention key or value projection.

    The last size of a weight, of a LoRA's down matrix (rank, width) and of a LoHa's second factor (rank, width) alike;
    the product of the last sizes of a LoKr's two factors.
    """
    widths = {
        shape[-1] if len(shape) == 2 else shape[1]
        for name, shape in shapes.items()
        if _CROSS_KEY.search(name) and name.endswith(_INPUT_FACTORS) and len(shape) in (2, 4)
    } | {
        shape[-1] * other[-1]
        for name, shape in shapes.items()
        if _CROSS_KEY.search(name) and (match := _FIRST_FACTOR.search(name)) and len(shape) == 2
        for end in ("lokr_w2", "lokr_w2_b")
        if len(other := shapes.get(name[: match.start()] + end, ())) == 2
    }
    known = {_ARCHITECTURE_OF_WIDTH[width] for width in widths if width in _ARCHITECTURE_OF_WIDTH}
    return known.pop() if len(known) == 1 and len(widths) == 1 else ""


def _of_text_encoder(shapes: Shapes) -> str:
    """The architecture of a network that changes the text encoder only."""
    widths = {
        shape[-1]
        for name, shape in shapes.items()
        if name.startswith(("lora_te_", "text_encoder."))
        and re.search(r"q_proj.*(?:lora_down|lora_A|hada_w1_b)", name)
        and len(shape) == 2
    }
    return _ARCHITECTURE_OF_WIDTH.get(widths.pop(), "") if len(widths) == 1 else ""


def _embedding_architecture(shapes: Shapes) -> str:
    if {"clip_l", "clip_g"} <= shapes.keys():
        return "sdxl"
    widths = {shape[-1] for shape in shapes.values() if shape}
    return _ARCHITECTURE_OF_WIDTH.get(widths.pop(), "") if len(widths) == 1 else ""


_ARCHITECTURE_READERS: Final = MappingProxyType(
    {
        "checkpoint": _checkpoint_architecture,
        "lora": _lora_architecture,
        "embedding": _embedding_architecture,
    }
)
"""A VAE's shapes are shared by several architectures, so they do not say."""


def _from_metadata(metadata: Mapping[str, str]) -> str:
    label = metadata.get("ss_base_model_version") or metadata.get("modelspec.architecture") or ""
    return next((architecture for pattern, architecture in _ARCHITECTURE_OF_LABEL if pattern.search(label)), "")
