"""The calls of each family, and which family a call in its JSON form belongs to."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Annotated, Final, Literal

from pydantic import Field, TypeAdapter, ValidationError

from tool_specs.calls.models import Call
from tool_specs.exceptions import CallError
from tool_specs.families import CHROMA, FAMILIES, FLUX1, POCKET, QWEN, SD2, SD15, SD35, SDXL, ZIMAGE
from tool_specs.samplers import FlowEulerSampler, FlowSampler, PocketSampler, StableDiffusionSampler
from tool_specs.validation import one_line


class StableDiffusion15Call(Call):
    """A call to Stable Diffusion 1.x."""

    bounds = SD15
    family: Literal["sd15"] = "sd15"
    sampler: StableDiffusionSampler = "DPM++ 2M Karras"
    steps: int = Field(default=SD15.steps, ge=SD15.min_steps, le=SD15.max_steps)
    cfg_scale: float = Field(default=SD15.cfg_scale, ge=SD15.min_cfg_scale, le=SD15.max_cfg_scale)
    width: int = Field(default=SD15.width, ge=SD15.min_size, le=SD15.max_size, multiple_of=SD15.size_multiple)
    height: int = Field(default=SD15.height, ge=SD15.min_size, le=SD15.max_size, multiple_of=SD15.size_multiple)
    clip_skip: int = Field(default=SD15.clip_skip, ge=1, le=SD15.max_clip_skip)


class StableDiffusion2Call(Call):
    """A call to Stable Diffusion 2.x."""

    bounds = SD2
    family: Literal["sd2"] = "sd2"
    sampler: StableDiffusionSampler = "DPM++ 2M Karras"
    steps: int = Field(default=SD2.steps, ge=SD2.min_steps, le=SD2.max_steps)
    cfg_scale: float = Field(default=SD2.cfg_scale, ge=SD2.min_cfg_scale, le=SD2.max_cfg_scale)
    width: int = Field(default=SD2.width, ge=SD2.min_size, le=SD2.max_size, multiple_of=SD2.size_multiple)
    height: int = Field(default=SD2.height, ge=SD2.min_size, le=SD2.max_size, multiple_of=SD2.size_multiple)
    clip_skip: int = Field(default=SD2.clip_skip, ge=1, le=SD2.max_clip_skip)


class StableDiffusionXLCall(Call):
    """A call to SDXL and its relatives: Pony, Illustrious, NoobAI."""

    bounds = SDXL
    family: Literal["sdxl"] = "sdxl"
    sampler: StableDiffusionSampler = "DPM++ 2M Karras"
    steps: int = Field(default=SDXL.steps, ge=SDXL.min_steps, le=SDXL.max_steps)
    cfg_scale: float = Field(default=SDXL.cfg_scale, ge=SDXL.min_cfg_scale, le=SDXL.max_cfg_scale)
    width: int = Field(default=SDXL.width, ge=SDXL.min_size, le=SDXL.max_size, multiple_of=SDXL.size_multiple)
    height: int = Field(default=SDXL.height, ge=SDXL.min_size, le=SDXL.max_size, multiple_of=SDXL.size_multiple)
    clip_skip: int = Field(default=SDXL.clip_skip, ge=1, le=SDXL.max_clip_skip)


class FluxCall(Call):
    """A call to Flux.1; it has no negative prompt."""

    bounds = FLUX1
    family: Literal["flux1"] = "flux1"
    sampler: FlowSampler = "Euler"
    steps: int = Field(default=FLUX1.steps, ge=FLUX1.min_steps, le=FLUX1.max_steps)
    cfg_scale: float = Field(default=FLUX1.cfg_scale, ge=FLUX1.min_cfg_scale, le=FLUX1.max_cfg_scale)
    width: int = Field(default=FLUX1.width, ge=FLUX1.min_size, le=FLUX1.max_size, multiple_of=FLUX1.size_multiple)
    height: int = Field(default=FLUX1.height, ge=FLUX1.min_size, le=FLUX1.max_size, multiple_of=FLUX1.size_multiple)
    clip_skip: int = Field(default=FLUX1.clip_skip, ge=1, le=FLUX1.max_clip_skip)


class StableDiffusion35Call(Call):
    """A call to Stable Diffusion 3 and 3.5."""

    bounds = SD35
    family: Literal["sd35"] = "sd35"
    sampler: FlowSampler = "Euler"
    steps: int = Field(default=SD35.steps, ge=SD35.min_steps, le=SD35.max_steps)
    cfg_scale: float = Field(default=SD35.cfg_scale, ge=SD35.min_cfg_scale, le=SD35.max_cfg_scale)
    width: int = Field(default=SD35.width, ge=SD35.min_size, le=SD35.max_size, multiple_of=SD35.size_multiple)
    height: int = Field(default=SD35.height, ge=SD35.min_size, le=SD35.max_size, multiple_of=SD35.size_multiple)
    clip_skip: int = Field(default=SD35.clip_skip, ge=1, le=SD35.max_clip_skip)


class ChromaCall(Call):
    """A call to Chroma, which was made of Flux.1 and has a negative prompt."""

    bounds = CHROMA
    family: Literal["chroma"] = "chroma"
    sampler: FlowEulerSampler = "Euler"
    steps: int = Field(default=CHROMA.steps, ge=CHROMA.min_steps, le=CHROMA.max_steps)
    cfg_scale: float = Field(default=CHROMA.cfg_scale, ge=CHROMA.min_cfg_scale, le=CHROMA.max_cfg_scale)
    width: int = Field(default=CHROMA.width, ge=CHROMA.min_size, le=CHROMA.max_size, multiple_of=CHROMA.size_multiple)
    height: int = Field(default=CHROMA.height, ge=CHROMA.min_size, le=CHROMA.max_size, multiple_of=CHROMA.size_multiple)
    clip_skip: int = Field(default=CHROMA.clip_skip, ge=1, le=CHROMA.max_clip_skip)


class QwenImageCall(Call):
    """A call to Qwen-Image."""

    bounds = QWEN
    family: Literal["qwen"] = "qwen"
    sampler: FlowEulerSampler = "Euler"
    steps: int = Field(default=QWEN.steps, ge=QWEN.min_steps, le=QWEN.max_steps)
    cfg_scale: float = Field(default=QWEN.cfg_scale, ge=QWEN.min_cfg_scale, le=QWEN.max_cfg_scale)
    width: int = Field(default=QWEN.width, ge=QWEN.min_size, le=QWEN.max_size, multiple_of=QWEN.size_multiple)
    height: int = Field(default=QWEN.height, ge=QWEN.min_size, le=QWEN.max_size, multiple_of=QWEN.size_multiple)
    clip_skip: int = Field(default=QWEN.clip_skip, ge=1, le=QWEN.max_clip_skip)


class ZImageCall(Call):
    """A call to Z-Image, base or turbo; turbo is drawn without guidance and then reads no negative prompt."""

    bounds = ZIMAGE
    family: Literal["zimage"] = "zimage"
    sampler: FlowEulerSampler = "Euler"
    steps: int = Field(default=ZIMAGE.steps, ge=ZIMAGE.min_steps, le=ZIMAGE.max_steps)
    cfg_scale: float = Field(default=ZIMAGE.cfg_scale, ge=ZIMAGE.min_cfg_scale, le=ZIMAGE.max_cfg_scale)
    width: int = Field(default=ZIMAGE.width, ge=ZIMAGE.min_size, le=ZIMAGE.max_size, multiple_of=ZIMAGE.size_multiple)
    height: int = Field(default=ZIMAGE.height, ge=ZIMAGE.min_size, le=ZIMAGE.max_size, multiple_of=ZIMAGE.size_multiple)
    clip_skip: int = Field(default=ZIMAGE.clip_skip, ge=1, le=ZIMAGE.max_clip_skip)


class PocketCall(Call):
    """A call to the pocket models that ship with this package."""

    bounds = POCKET
    family: Literal["pocket"] = "pocket"
    sampler: PocketSampler = "DPM++ 2M Karras"
    steps: int = Field(default=POCKET.steps, ge=POCKET.min_steps, le=POCKET.max_steps)
    cfg_scale: float = Field(default=POCKET.cfg_scale, ge=POCKET.min_cfg_scale, le=POCKET.max_cfg_scale)
    width: int = Field(default=POCKET.width, ge=POCKET.min_size, le=POCKET.max_size, multiple_of=POCKET.size_multiple)
    height: int = Field(default=POCKET.height, ge=POCKET.min_size, le=POCKET.max_size, multiple_of=POCKET.size_multiple)
    clip_skip: int = Field(default=POCKET.clip_skip, ge=1, le=POCKET.max_clip_skip)


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
