"""Which diffusers pipeline draws a family, and where the parts come from that a weights file leaves out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

from tool_specs.exceptions import CallError
from tool_specs.schedulers import FLOW_SCHEDULERS, SCHEDULERS, Scheduler
from tool_specs.spec import ToolSpec


@dataclass(frozen=True, slots=True)
class Pipeline:
    """How diffusers draws a family.

    Attributes:
        text_to_image: Pipeline class; likewise `image_to_image`.
        schedulers: A1111 sampler name to scheduler.
        transformer: Class of the denoiser where a weights file is read for that alone, since many files of the family
            hold nothing else; empty where files hold the whole pipeline.
        encoders: Attributes of tokenizer and text encoder that an embedding is loaded into, and the key of its vectors
            for them; none where diffusers cannot load embeddings.
        first_clip_skip: The clip skip that drawing without one amounts to: SDXL reads the last layer but one.
        has_clip_skip: Whether the pipeline counts clip skip itself, from that layer on.
    """

    text_to_image: str
    image_to_image: str
    schedulers: Mapping[str, Scheduler]
    transformer: str = ""
    encoders: tuple[tuple[str, str, str], ...] = ()
    first_clip_skip: int = 1
    has_clip_skip: bool = False


_CLIP_L: Final = ("tokenizer", "text_encoder", "clip_l")
_STABLE_DIFFUSION: Final = Pipeline(
    "StableDiffusionPipeline", "StableDiffusionImg2ImgPipeline", SCHEDULERS, encoders=(_CLIP_L,)
)

PIPELINES: Final[Mapping[str, Pipeline]] = MappingProxyType(
    {
        "pocket": _STABLE_DIFFUSION,
        "sd15": _STABLE_DIFFUSION,
        "sdxl": Pipeline(
            "StableDiffusionXLPipeline",
            "StableDiffusionXLImg2ImgPipeline",
            SCHEDULERS,
            encoders=(_CLIP_L, ("tokenizer_2", "text_encoder_2", "clip_g")),
            first_clip_skip=2,
            has_clip_skip=True,
        ),
        "flux1": Pipeline("FluxPipeline", "FluxImg2ImgPipeline", FLOW_SCHEDULERS, transformer="FluxTransformer2DModel"),
        "sd35": Pipeline(
            "StableDiffusion3Pipeline",
            "StableDiffusion3Img2ImgPipeline",
            FLOW_SCHEDULERS,
            transformer="SD3Transformer2DModel",
        ),
    }
)
"""By family."""

_FAMILY_CONFIGS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "sd15": "stable-diffusion-v1-5/stable-diffusion-v1-5",
        "sdxl": "stabilityai/stable-diffusion-xl-base-1.0",
        "flux1": "black-forest-labs/FLUX.1-dev",
        "sd35": "stabilityai/stable-diffusion-3.5-large",
    }
)
_MODEL_CONFIGS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "Flux.1 S": "black-forest-labs/FLUX.1-schnell",
        "Flux.1 Krea": "black-forest-labs/FLUX.1-Krea-dev",
        "SD 3.5 Large Turbo": "stabilityai/stable-diffusion-3.5-large-turbo",
        "SD 3.5 Medium": "stabilityai/stable-diffusion-3.5-medium",
        "SD 3": "stabilityai/stable-diffusion-3-medium-diffusers",
    }
)
"""Base models whose parts are not those of their family."""


def hub_config(spec: ToolSpec) -> str:
    """The name on the Hugging Face hub of a checkpoint's configuration."""
    return _MODEL_CONFIGS.get(spec.base_model) or _FAMILY_CONFIGS[spec.family]


def scheduler_for(checkpoint: ToolSpec, sampler: str, *, from_picture: bool) -> Scheduler:
    """The scheduler of a sampler.

    Args:
        checkpoint: What it draws with.
        sampler: A1111 name.
        from_picture: Whether the drawing begins from a picture.

    Raises:
        CallError: diffusers cannot draw so.
    """
    schedulers = PIPELINES[checkpoint.family].schedulers
    if sampler not in schedulers:
        msg = f"diffusers has no scheduler for {sampler!r}; use one of {', '.join(schedulers)}"
        raise CallError(msg)
    if schedulers is FLOW_SCHEDULERS and sampler != "Euler":
        if from_picture:
            msg = f"image-to-image of {checkpoint.family} in diffusers knows only the sampler 'Euler', not {sampler!r}"
            raise CallError(msg)
        if checkpoint.base_model == "Flux.1 S" and sampler == "DPM++ 2M":
            msg = f"diffusers cannot draw Flux.1 S ({checkpoint.id}) with {sampler!r}; use 'Euler' or 'UniPC'"
            raise CallError(msg)
    return schedulers[sampler]
