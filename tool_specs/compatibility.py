"""Which networks load into which checkpoints: a table of architectures, and one function that reads it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Final

from tool_specs.families import FAMILIES
from tool_specs.spec import ToolSpec
from tool_specs.weight_files import identify, read_header
from tool_specs.weight_identity import lora_variant

ARCHITECTURES: Final = MappingProxyType(
    {label: family.architecture for family in FAMILIES.values() for label in family.base_models}
    | {"SD 3.5 Large": "sd35-large", "SD 3.5 Large Turbo": "sd35-large", "SD 3.5": "sd35-large"}
    | {"SD 3.5 Medium": "sd35-medium", "SD 3": "sd3-medium"}
)
"""Base model label to the architecture that its networks fit: tensors of one shape never load into another.

SDXL, Pony, Illustrious and NoobAI share one, and so do the Flux.1 models; the three sizes of Stable Diffusion 3 do not.
Source: the compatibility rules of Civitai's own generator, less its rule that SD 1.x embeddings reach one of SDXL's two
text encoders, which the loaders of diffusers do not follow.
"""

_LATENT_SPACES: Final = MappingProxyType(
    {
        "sd2": "sd1", "sd35-large": "sd3", "sd35-medium": "sd3", "sd3-medium": "sd3",
        "chroma": "flux1", "zimage": "flux1",
    }
)  # fmt: skip
"""Architecture to the one whose VAE it shares; every other has its own."""

_REFUSED_TYPES: Final = MappingProxyType(
    {"Hypernetwork": "it is a Hypernetwork, which is shared as a pickle only and which diffusers cannot load"}
)
_REFUSED_VARIANTS: Final = MappingProxyType(
    {
        "oft": "it is an OFT network, which is not computed here",
        "glora": "it is a GLoRA network, which is not computed here",
        "ia3": "it is an (IA)³ network, which is not computed here",
    }
)

_BY_LABEL: Final = {label.casefold(): architecture for label, architecture in ARCHITECTURES.items()}

_MIXED_LINEAGES: Final = frozenset({"Pony", "Illustrious", "NoobAI"})
"""Base models retrained so far from SDXL that each other's networks load but may look different."""


@dataclass(frozen=True, slots=True)
class Compatibility:
    """Whether a network loads into a checkpoint, and why in one line."""

    ok: bool
    reason: str


def compatible(
    network: ToolSpec,
    checkpoint: ToolSpec,
    *,
    network_file: Path | None = None,
    checkpoint_file: Path | None = None,
) -> Compatibility:
    """Whether `network` can be loaded into `checkpoint`.

    Args:
        network: A LoRA, LoCon, DoRA, textual inversion, or VAE that takes the place of the checkpoint's own.
        checkpoint: A checkpoint.
        network_file: Its safetensors file where one is at hand: the header is believed before the label.
        checkpoint_file: Likewise for the checkpoint.

    Raises:
        WeightsError: A file was given that is no readable safetensors file.
    """
    if network.type in _REFUSED_TYPES:
        return Compatibility(False, f"{network.model_name} cannot be used: {_REFUSED_TYPES[network.type]}")
    if not network.is_network and network.type != "VAE":
        return Compatibility(False, f"{network.model_name} is a {network.type}, not a network that a call can name")
    if not checkpoint.is_checkpoint:
        return Compatibility(False, f"{checkpoint.model_name} is a {checkpoint.type}, not a checkpoint")
    refusal = refused_variant(network_file) if network_file is not None else ""
    if refusal:
        return Compatibility(False, f"{network.model_name} cannot be used: {refusal}")
    theirs = architecture_of(network, network_file)
    ours = architecture_of(checkpoint, checkpoint_file)
    if theirs is None:
        return Compatibility(False, f"{network.model_name} is for {network.base_model!r}, which cannot be drawn here")
    if ours is None:
        return Compatibility(False, f"{checkpoint.model_name} is {checkpoint.base_model!r}, which cannot be drawn here")
    if not architectures_fit(network.type, theirs, ours):
        return Compatibility(
            False,
            f"{network.model_name} is for {network.base_model} ({theirs}), "
            f"{checkpoint.model_name} is {checkpoint.base_model} ({ours})",
        )
    if network.base_model != checkpoint.base_model and _MIXED_LINEAGES & {network.base_model, checkpoint.base_model}:
        return Compatibility(
            True,
            f"both are {ours}; trained for {network.base_model}, so it may look different on {checkpoint.base_model}",
        )
    return Compatibility(True, f"both are {ours}" if theirs == ours else f"{theirs} and {ours} share their VAE")


def architectures_fit(network_type: str, theirs: str, ours: str) -> bool:
    """Whether a network of one architecture loads into a checkpoint of another; VAEs need the same latents only."""
    if network_type == "VAE":
        return _LATENT_SPACES.get(theirs, theirs) == _LATENT_SPACES.get(ours, ours)
    return theirs == ours


def refused_variant(file: Path) -> str:
    """Why no loader here takes a network's file, from the names of its tensors; empty where one does.

    Raises:
        WeightsError: It is no readable safetensors file.
    """
    return _REFUSED_VARIANTS.get(lora_variant(read_header(file).tensors), "")


def architecture_of(spec: ToolSpec, file: Path | None = None) -> str | None:
    """The architecture that a file's header names, else that of the spec's label; None for what cannot be drawn.

    Raises:
        WeightsError: The file is no readable safetensors file.
    """
    if file is not None:
        identity = identify(file)
        if identity.architecture:
            return identity.architecture
    return _BY_LABEL.get(spec.base_model.strip().casefold())
