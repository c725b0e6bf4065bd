"""The call: everything that is needed to draw one picture; `tool_specs.calls.family_calls` has a model per family.

This is the only description of a generation. The planner fills it, the backend draws it, the reward judges it, the
infotext prints it.
"""

from __future__ import annotations

import re
from typing import ClassVar, Final, Self

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from tool_specs.calls.hires import HiresFix
from tool_specs.calls.seeds import Seed, Variation
from tool_specs.families import Family
from tool_specs.naming import SPEC_ID_PATTERN
from tool_specs.prompts import NEGATIVE_LABEL, OTHER_TAG, clean_prompt
from tool_specs.spec import LoraUse
from tool_specs.validation import shown

MAX_PROMPT = 2000
"""Longest prompt and negative prompt, in characters."""

START_FIELDS: Final = ("init_image", "denoising_strength")
"""What makes a call image-to-image."""

UNPLANNED_FIELDS: Final = (*START_FIELDS, "hires", "variation", "tiling")
"""What people and graphs fill in; planners do not."""


def _is_none(value: object) -> bool:
    """Whether a field is left out of a call's JSON: a call that begins from nothing reads as it always did."""
    return value is None


def _is_off(value: object) -> bool:
    """Likewise for what is on or off."""
    return value is False


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
    variation: Variation | None = Field(default=None, exclude_if=_is_none)
    """Noise of another seed, mixed into what text-to-image begins from."""
    tiling: bool = Field(default=False, exclude_if=_is_off)
    """Whether opposite edges meet, so that the picture can be laid out side by side."""

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
    def _varies_text_to_image(self) -> Self:
        if self.variation is not None and self.init_image is not None:
            msg = "variation is given with init_image: it varies text-to-image; give another seed instead"
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
