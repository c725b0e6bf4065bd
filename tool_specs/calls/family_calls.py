"""The calls of each family, and which family a call in its JSON form belongs to."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Annotated, Any, Final, Literal

from pydantic import Field, TypeAdapter, ValidationError

from tool_specs.calls.models import Call
from tool_specs.exceptions import CallError
from tool_specs.families import CHROMA, FAMILIES, FLUX1, POCKET, QWEN, SD2, SD15, SD35, SDXL, ZIMAGE, Family
from tool_specs.samplers import FlowEulerSampler, FlowSampler, PocketSampler, StableDiffusionSampler
from tool_specs.validation import one_line


# Typed as what Field() itself returns.
def _steps(family: Family) -> Any:
    return Field(default=family.steps, ge=family.min_steps, le=family.max_steps)


def _cfg_scale(family: Family) -> Any:
    return Field(default=family.cfg_scale, ge=family.min_cfg_scale, le=family.max_cfg_scale)


def _size(family: Family, default: int) -> Any:
    return Field(default=default, ge=family.min_size, le=family.max_size, multiple_of=family.size_multiple)


def _clip_skip(family: Family) -> Any:
    return Field(default=family.clip_skip, ge=1, le=family.max_clip_skip)


class StableDiffusion15Call(Call):
    """A call to Stable Diffusion 1.x."""

    bounds = SD15
    family: Literal["sd15"] = "sd15"
    sampler: StableDiffusionSampler = "DPM++ 2M Karras"
    steps: int = _steps(SD15)
    cfg_scale: float = _cfg_scale(SD15)
    width: int = _size(SD15, SD15.width)
    height: int = _size(SD15, SD15.height)
    clip_skip: int = _clip_skip(SD15)


class StableDiffusion2Call(Call):
    """A call to Stable Diffusion 2.x."""

    bounds = SD2
    family: Literal["sd2"] = "sd2"
    sampler: StableDiffusionSampler = "DPM++ 2M Karras"
    steps: int = _steps(SD2)
    cfg_scale: float = _cfg_scale(SD2)
    width: int = _size(SD2, SD2.width)
    height: int = _size(SD2, SD2.height)
    clip_skip: int = _clip_skip(SD2)


class StableDiffusionXLCall(Call):
    """A call to SDXL and its relatives: Pony, Illustrious, NoobAI."""

    bounds = SDXL
    family: Literal["sdxl"] = "sdxl"
    sampler: StableDiffusionSampler = "DPM++ 2M Karras"
    steps: int = _steps(SDXL)
    cfg_scale: float = _cfg_scale(SDXL)
    width: int = _size(SDXL, SDXL.width)
    height: int = _size(SDXL, SDXL.height)
    clip_skip: int = _clip_skip(SDXL)


class FluxCall(Call):
    """A call to Flux.1; it has no negative prompt."""

    bounds = FLUX1
    family: Literal["flux1"] = "flux1"
    sampler: FlowSampler = "Euler"
    steps: int = _steps(FLUX1)
    cfg_scale: float = _cfg_scale(FLUX1)
    width: int = _size(FLUX1, FLUX1.width)
    height: int = _size(FLUX1, FLUX1.height)
    clip_skip: int = _clip_skip(FLUX1)


class StableDiffusion35Call(Call):
    """A call to Stable Diffusion 3 and 3.5."""

    bounds = SD35
    family: Literal["sd35"] = "sd35"
    sampler: FlowSampler = "Euler"
    steps: int = _steps(SD35)
    cfg_scale: float = _cfg_scale(SD35)
    width: int = _size(SD35, SD35.width)
    height: int = _size(SD35, SD35.height)
    clip_skip: int = _clip_skip(SD35)


class ChromaCall(Call):
    """A call to Chroma, which was made of Flux.1 and has a negative prompt."""

    bounds = CHROMA
    family: Literal["chroma"] = "chroma"
    sampler: FlowEulerSampler = "Euler"
    steps: int = _steps(CHROMA)
    cfg_scale: float = _cfg_scale(CHROMA)
    width: int = _size(CHROMA, CHROMA.width)
    height: int = _size(CHROMA, CHROMA.height)
    clip_skip: int = _clip_skip(CHROMA)


class QwenImageCall(Call):
    """A call to Qwen-Image."""

    bounds = QWEN
    family: Literal["qwen"] = "qwen"
    sampler: FlowEulerSampler = "Euler"
    steps: int = _steps(QWEN)
    cfg_scale: float = _cfg_scale(QWEN)
    width: int = _size(QWEN, QWEN.width)
    height: int = _size(QWEN, QWEN.height)
    clip_skip: int = _clip_skip(QWEN)


class ZImageCall(Call):
    """A call to Z-Image, base or turbo; turbo is drawn without guidance and then reads no negative prompt."""

    bounds = ZIMAGE
    family: Literal["zimage"] = "zimage"
    sampler: FlowEulerSampler = "Euler"
    steps: int = _steps(ZIMAGE)
    cfg_scale: float = _cfg_scale(ZIMAGE)
    width: int = _size(ZIMAGE, ZIMAGE.width)
    height: int = _size(ZIMAGE, ZIMAGE.height)
    clip_skip: int = _clip_skip(ZIMAGE)


class PocketCall(Call):
    """A call to the pocket models that ship with this package."""

    bounds = POCKET
    family: Literal["pocket"] = "pocket"
    sampler: PocketSampler = "DPM++ 2M Karras"
    steps: int = _steps(POCKET)
    cfg_scale: float = _cfg_scale(POCKET)
    width: int = _size(POCKET, POCKET.width)
    height: int = _size(POCKET, POCKET.height)
    clip_skip: int = _clip_skip(POCKET)


AnyCall = Annotated[
    StableDiffusion15Call
    | StableDiffusion2Call
    | StableDiffusionXLCall
    | FluxCall
    | StableDiffusion35Call
    | ChromaCall
    | QwenImageCall
    | ZImageCall
    | PocketCall,
    Field(discriminator="family"),
]
"""A call of any family, told apart by `family`."""

CALL_MODELS: Final[Mapping[str, type[Call]]] = MappingProxyType(
    {
        model.bounds.name: model
        for model in (
            StableDiffusion15Call,
            StableDiffusion2Call,
            StableDiffusionXLCall,
            FluxCall,
            StableDiffusion35Call,
            ChromaCall,
            QwenImageCall,
            ZImageCall,
            PocketCall,
        )
    }
)
"""The call's model by family name."""

_ANY_CALL: Final[TypeAdapter[Call]] = TypeAdapter(AnyCall)


def call_model(family_name: str) -> type[Call]:
    """The model of a family's calls.

    Raises:
        CallError: The family is unknown or cannot be drawn here.
    """
    try:
        return CALL_MODELS[family_name]
    except KeyError:
        known = "is not one that can be drawn here" if family_name in FAMILIES else "is unknown"
        msg = f"family {family_name!r} {known}: use one of {', '.join(CALL_MODELS)}"
        raise CallError(msg) from None


def parse_call(data: Mapping[str, object] | str | bytes) -> Call:
    """Read a call of any family back from a mapping or from its JSON.

    Raises:
        CallError: It is no valid call.
    """
    try:
        if isinstance(data, Mapping):
            return _ANY_CALL.validate_python(dict(data))
        return _ANY_CALL.validate_json(data)
    except ValidationError as error:
        msg = f"not a valid call: {one_line(error)}"
        raise CallError(msg) from None
