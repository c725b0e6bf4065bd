"""The call: everything that is needed to draw one picture, one Pydantic model per family.

This is the only description of a generation. The planner fills it, the backend draws it, the reward judges it, the
infotext prints it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from types import MappingProxyType
from typing import Annotated, ClassVar, Final, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError, field_validator, model_validator

from tool_specs.calls.hires import HiresFix
from tool_specs.exceptions import CallError
from tool_specs.families import FAMILIES, FLUX1, POCKET, SD15, SD35, SDXL, Family
from tool_specs.naming import SPEC_ID_PATTERN
from tool_specs.prompts import NEGATIVE_LABEL, OTHER_TAG, clean_prompt
from tool_specs.samplers import FlowSampler, PocketSampler, StableDiffusionSampler
from tool_specs.spec import LoraUse
from tool_specs.validation import one_line, shown

MAX_PROMPT = 2000
"""Longest prompt and negative prompt, in characters."""

MAX_SEED = 2**32 - 1

Seed = Annotated[int, Field(ge=0, le=MAX_SEED)]

START_FIELDS: Final = ("init_image", "denoising_strength")
"""What makes a call image-to-image."""

UNPLANNED_FIELDS: Final = (*START_FIELDS, "hires")
"""What people and graphs fill in; planners do not."""


def _is_none(value: object) -> bool:
    """Whether a field is left out of a call's JSON: a call that begins from nothing reads as it always did."""
    return value is None


class Call(BaseModel):
    """What every family's call holds; draw with one of the subclasses.

    A prompt is plain text: networks are named in `loras`, never as a tag in the prompt, and the negative prompt has its
    own field.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    bounds: ClassVar[Family]
    """The family whose bounds hold."""

    family: str
    checkpoint: str = Field(pattern=SPEC_ID_PATTERN)
    """Spec id of the checkpoint."""
    loras: tuple[LoraUse, ...] = ()
    """Networks by spec id, each with its weight."""
    prompt: str = Field(min_length=1, max_length=MAX_PROMPT)
    negative_prompt: str = Field(default="", max_length=MAX_PROMPT)
    sampler: str
    """A1111 name, schedule included."""
    steps: int
    cfg_scale: float
    """Guidance; for Flux the distilled guidance scale."""
    width: int
    height: int
    """Size in pixels."""
    clip_skip: int = 1
    """A1111's count: 1 uses the text encoder's last layer, 2 the one before it."""
    seed: Seed | None = None
    """None lets the backend choose; a drawing's call always has it."""
    init_image: str | None = Field(default=None, exclude_if=_is_none)
    """SHA-256 of a picture in the artifact store to begin from (image-to-image), scaled to the call's size."""
    denoising_strength: float | None = Field(default=None, gt=0, le=1, exclude_if=_is_none)
    """A1111's name: how much of that picture is drawn anew; 1 keeps hardly anything, near 0 nearly everything."""
    hires: HiresFix | None = Field(default=None, exclude_if=_is_none)
    """A second, larger pass; `width` and `height` are those of the first."""

    @property
    def final_size(self) -> tuple[int, int]:
        """Width and height of the finished picture, in pixels."""
        if self.hires is None:
            return self.width, self.height
        return self.hires.size(self.width, self.height, self.bounds.size_multiple)

    @field_validator("prompt", "negative_prompt", mode="before")
    @classmethod
    def _clean(cls, text: object) -> object:
        return clean_prompt(text) if isinstance(text, str) else text

    @field_validator("prompt", "negative_prompt")
    @classmethod
    def _plain(cls, text: str) -> str:
        if tag := OTHER_TAG.search(text):
            msg = f"holds the tag {shown(tag[0])}: name networks in loras instead"
            raise ValueError(msg)
        if label := NEGATIVE_LABEL.search(text):
            msg = f"holds {label[0].strip()!r}: put what should not be drawn into negative_prompt alone"
            raise ValueError(msg)
        return text

    @field_validator("init_image")
    @classmethod
    def _names_a_picture(cls, digest: str | None) -> str | None:
        if digest is not None and not re.fullmatch(r"[0-9a-f]{64}", digest):
            msg = "is not the SHA-256 of a picture in the store: give 64 lower-case hex digits"
            raise ValueError(msg)
        return digest

    @model_validator(mode="after")
    def _within_bounds(self) -> Self:
        bounds = self.bounds
        if len(self.loras) > bounds.max_loras:
            msg = f"loras has {len(self.loras)} entries: {bounds.name} takes at most {bounds.max_loras}"
            raise ValueError(msg)
        ids = [use.id for use in self.loras]
        if len(set(ids)) < len(ids):
            msg = "loras names a network twice: give it once, with one weight"
            raise ValueError(msg)
        for network in ids:
            if not re.fullmatch(SPEC_ID_PATTERN, network):
                msg = f"loras names {network!r}: use the id of a spec, such as civitai:4384@128713"
                raise ValueError(msg)
        if self.negative_prompt and not bounds.has_negative_prompt:
            msg = f"negative_prompt is not used by {bounds.name}: leave it empty"
            raise ValueError(msg)
        return self

    @model_validator(mode="after")
    def _has_a_whole_start(self) -> Self:
        strength = self.denoising_strength
        if (self.init_image is None) is not (strength is None):
            given, missing = START_FIELDS if strength is None else reversed(START_FIELDS)
            msg = f"{given} is given without {missing}: image-to-image needs both, any other call neither"
            raise ValueError(msg)
        if strength is not None and self.steps * strength < 1:
            msg = (
                f"denoising_strength={strength:g} leaves none of the {self.steps} steps to draw: "
                f"the least is {1 / self.steps:.3g}"
            )
            raise ValueError(msg)
        return self

    @model_validator(mode="after")
    def _can_be_drawn_larger(self) -> Self:
        if self.hires is None:
            return self
        if self.init_image is not None:
            msg = "hires is given with init_image: it enlarges text-to-image; begin from a larger picture instead"
            raise ValueError(msg)
        width, height = self.final_size
        if max(width, height) > self.bounds.max_size:
            msg = (
                f"hires.upscale={self.hires.upscale:g} makes {width}x{height}: "
                f"{self.bounds.name} draws at most {self.bounds.max_size}"
            )
            raise ValueError(msg)
        self.hires.planned_steps(self.steps)
        return self


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
    StableDiffusion15Call | StableDiffusionXLCall | FluxCall | StableDiffusion35Call | PocketCall,
    Field(discriminator="family"),
]
"""A call of any family, told apart by `family`."""

CALL_MODELS: Final[Mapping[str, type[Call]]] = MappingProxyType(
    {
        model.bounds.name: model
        for model in (StableDiffusion15Call, StableDiffusionXLCall, FluxCall, StableDiffusion35Call, PocketCall)
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
