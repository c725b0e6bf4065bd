"""Civitai's AI Resource Identifiers, both ways: `urn:air:sd1:checkpoint:civitai:4384@128713`."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

from tool_specs.calls import Call
from tool_specs.catalog import AnyCatalog
from tool_specs.exceptions import CallError, CatalogError
from tool_specs.exports.ingredients import ingredients
from tool_specs.families import CHROMA, FLUX1, QWEN, SD2, SD15, SD35, SDXL
from tool_specs.spec import ToolSpec
from tool_specs.validation import shown

_ECOSYSTEMS: Final[Mapping[str, str]] = MappingProxyType(
    dict.fromkeys(SD15.base_models, "sd1")
    | dict.fromkeys(SD2.base_models, "sd2")
    | dict.fromkeys(SDXL.base_models, "sdxl")
    | dict.fromkeys(FLUX1.base_models, "flux1")
    | dict.fromkeys(SD35.base_models, "sd3")
    | dict.fromkeys(CHROMA.base_models, "chroma")
    | dict.fromkeys(QWEN.base_models, "qwen")
    | {"ZImageTurbo": "zimageturbo", "ZImageBase": "zimagebase"}
    | {"Flux.1 Krea": "fluxkrea", "SD 3.5 Medium": "sd3_5m"}
)
"""Base model label to the ecosystem that Civitai writes: the root one, so that Pony and Illustrious are "sdxl"."""

_TYPES: Final[Mapping[str, str]] = MappingProxyType(
    {"Checkpoint": "checkpoint", "LORA": "lora", "LoCon": "lycoris", "DoRA": "dora", "TextualInversion": "embedding"}
)
_FILE_TYPES: Final[Mapping[str, str]] = MappingProxyType({"Diffusion Model": "diffusionmodel", "UNet": "unet"})
"""A checkpoint whose file holds the denoiser alone is named after the file."""

_AIR: Final = re.compile(
    r"(?:urn:)?(?:air:)?(?:(?P<ecosystem>[\w.-]+):)??(?:(?P<type>[\w.-]+):)?civitai:(?P<model>[0-9]{1,10})"
    r"(?:@(?P<version>[0-9]{1,10}))?(?:\+(?P<file>[0-9]{1,10}))?(?:\.(?P<format>\w+))?",
    re.ASCII | re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class Air:
    """A resource on Civitai; `str` writes the identifier.

    Attributes:
        ecosystem: Group of base models ("sd1", "sdxl"); empty where the identifier does not say.
        type: Kind of resource ("checkpoint", "lora", "lycoris", "embedding"); likewise.
        model_id: The model.
        version_id: The version; None for the model's latest.
        file_id: One file of the version; None for its primary one.
        format: The file's format ("safetensors"); empty where the identifier does not say.
    """

    ecosystem: str
    type: str
    model_id: int
    version_id: int | None = None
    file_id: int | None = None
    format: str = ""

    @property
    def spec_id(self) -> str:
        """How the catalog names it: `civitai:4384@128713`, or `civitai:4384`."""
        return f"civitai:{self.model_id}" + (f"@{self.version_id}" if self.version_id is not None else "")

    def __str__(self) -> str:
        """The identifier."""
        parts = ("urn:air", self.ecosystem, self.type, self.spec_id)
        file = f"+{self.file_id}" if self.file_id is not None else ""
        return ":".join(part for part in parts if part) + file + (f".{self.format}" if self.format else "")


def parse_air(text: str) -> Air:
    """Read an identifier; its parts `urn:`, `air:`, the ecosystem and the type may be missing.

    Raises:
        CatalogError: It is none, or names something that is not on Civitai.
    """
    match = _AIR.fullmatch(text.strip())
    if match is None:
        msg = f"{shown(text)} names nothing on Civitai: an AIR looks like urn:air:sd1:checkpoint:civitai:4384@128713"
        raise CatalogError(msg)
    version, file = match["version"], match["file"]
    return Air(
        ecosystem=(match["ecosystem"] or "").lower(),
        type=(match["type"] or "").lower(),
        model_id=int(match["model"]),
        version_id=int(version) if version else None,
        file_id=int(file) if file else None,
        format=(match["format"] or "").lower(),
    )


def air_of(spec: ToolSpec) -> Air:
    """The identifier of a spec.

    Raises:
        CallError: Civitai does not have it, or has no word for its kind.
    """
    ecosystem, kind = _ECOSYSTEMS.get(spec.base_model), _TYPES.get(spec.type)
    if spec.is_local or spec.family == "pocket":
        where = "on this machine" if spec.is_local else "inside this package"
        msg = f"{spec.id} ({spec.model_name!r}) exists only {where}, so it has no AIR; choose a model from Civitai"
        raise CallError(msg)
    if ecosystem is None or kind is None:
        msg = f"{spec.id} is a {spec.type} for {spec.base_model!r}, for which no AIR is known; choose another model"
        raise CallError(msg)
    if spec.is_checkpoint and spec.primary_file is not None:
        kind = _FILE_TYPES.get(spec.primary_file.type, kind)
    return Air(ecosystem, kind, spec.model_id, spec.version_id)


def to_air(call: Call, catalog: AnyCatalog) -> list[str]:
    """The identifiers of a call's models, the checkpoint first.

    Raises:
        CallError: A model is unknown, does not fit, or is not on Civitai.
    """
    return [str(air_of(spec)) for spec in ingredients(call, catalog).specs]
