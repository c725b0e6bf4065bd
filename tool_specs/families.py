"""Families: which base models draw alike, what a call to them may hold, and their defaults."""

from __future__ import annotations

from dataclasses import dataclass
from types import MappingProxyType
from typing import Final, get_args

from tool_specs.samplers import FlowEulerSampler, FlowSampler, PocketSampler, StableDiffusionSampler


@dataclass(frozen=True, slots=True)
class Family:
    """Base models that share a call: the same samplers, bounds and pipeline.

    Attributes:
        name: The discriminator of its call ("sd15"), or "other" for what cannot be drawn here.
        architecture: Networks load into each other within one architecture unless a base model says otherwise.
        base_models: Labels as Civitai spells them.
        samplers: A1111 sampler names that it can be drawn with, best first.
        sampler: Default sampler; likewise `steps`, `cfg_scale`, `width`, `height`, `clip_skip`.
        size_multiple: Width and height are multiples of this, in pixels.
        max_loras: Most networks in one call.
        has_negative_prompt: False for models distilled to work without one.
        closed_vocabulary: True when the model knows only the words it was trained on.
    """

    name: str
    architecture: str
    base_models: tuple[str, ...]
    samplers: tuple[str, ...]
    sampler: str
    steps: int
    cfg_scale: float
    width: int
    height: int
    clip_skip: int = 1
    min_steps: int = 1
    max_steps: int = 150
    min_cfg_scale: float = 1.0
    max_cfg_scale: float = 30.0
    min_size: int = 256
    max_size: int = 2048
    size_multiple: int = 8
    max_clip_skip: int = 12
    max_loras: int = 5
    has_negative_prompt: bool = True
    closed_vocabulary: bool = False

    @property
    def drawable(self) -> bool:
        """Whether calls of this family exist."""
        return bool(self.samplers)

    def size(self, pixels: float) -> int:
        """The nearest size the family can draw, in pixels: a multiple of `size_multiple` within its bounds."""
        snapped = round(pixels / self.size_multiple) * self.size_multiple
        return min(max(snapped, self.min_size), self.max_size)


SD15: Final = Family(
    name="sd15",
    architecture="sd1",
    base_models=("SD 1.5", "SD 1.4", "SD 1.5 LCM", "SD 1.5 Hyper"),
    samplers=get_args(StableDiffusionSampler),
    sampler="DPM++ 2M Karras",
    steps=25,
    cfg_scale=7.0,
    width=512,
    height=512,
    max_size=1536,
)
SD2: Final = Family(
    name="sd2",
    architecture="sd2",
    base_models=("SD 2.1 768", "SD 2.1", "SD 2.0 768", "SD 2.0"),
    samplers=get_args(StableDiffusionSampler),
    sampler="DPM++ 2M Karras",
    steps=25,
    cfg_scale=7.0,
    width=768,
    height=768,
    max_size=1536,
    max_clip_skip=1,
)
SDXL: Final = Family(
    name="sdxl",
    architecture="sdxl",
    base_models=(
        "SDXL 1.0", "SDXL 0.9", "SDXL 1.0 LCM", "SDXL Lightning", "SDXL Hyper", "SDXL Turbo", "Pony", "Illustrious",
        "NoobAI",
    ),
    samplers=get_args(StableDiffusionSampler),
    sampler="DPM++ 2M Karras",
    steps=30,
    cfg_scale=6.0,
    width=1024,
    height=1024,
    min_size=512,
)  # fmt: skip
FLUX1: Final = Family(
    name="flux1",
    architecture="flux1",
    base_models=("Flux.1 D", "Flux.1 S", "Flux.1 Krea"),
    samplers=get_args(FlowSampler),
    sampler="Euler",
    steps=25,
    cfg_scale=3.5,
    width=1024,
    height=1024,
    max_steps=100,
    min_cfg_scale=0.0,
    max_cfg_scale=20.0,
    size_multiple=16,
    max_clip_skip=1,
    has_negative_prompt=False,
)
SD35: Final = Family(
    name="sd35",
    architecture="sd3",
    base_models=("SD 3.5 Large", "SD 3.5", "SD 3.5 Large Turbo", "SD 3.5 Medium", "SD 3"),
    samplers=get_args(FlowSampler),
    sampler="Euler",
    steps=28,
    cfg_scale=4.5,
    width=1024,
    height=1024,
    max_steps=100,
    max_cfg_scale=20.0,
    min_size=512,
    max_size=1536,
    size_multiple=16,
    max_clip_skip=1,
)
CHROMA: Final = Family(
    name="chroma",
    architecture="chroma",
    base_models=("Chroma",),
    samplers=get_args(FlowEulerSampler),
    sampler="Euler",
    steps=30,
    cfg_scale=4.0,
    width=1024,
    height=1024,
    max_steps=100,
    max_cfg_scale=20.0,
    size_multiple=16,
    max_clip_skip=1,
)
QWEN: Final = Family(
    name="qwen",
    architecture="qwen",
    base_models=("Qwen",),
    samplers=get_args(FlowEulerSampler),
    sampler="Euler",
    steps=30,
    cfg_scale=4.0,
    width=1328,
    height=1328,
    max_steps=100,
    max_cfg_scale=20.0,
    min_size=512,
    size_multiple=16,
    max_clip_skip=1,
)
ZIMAGE: Final = Family(
    name="zimage",
    architecture="zimage",
    base_models=("ZImageTurbo", "ZImageBase"),
    samplers=get_args(FlowEulerSampler),
    sampler="Euler",
    steps=30,
    cfg_scale=5.0,
    width=1024,
    height=1024,
    max_steps=100,
    max_cfg_scale=20.0,
    min_size=512,
    size_multiple=16,
    max_clip_skip=1,
)
POCKET: Final = Family(
    name="pocket",
    architecture="pocket",
    base_models=("Pocket",),
    samplers=get_args(PocketSampler),
    sampler="DPM++ 2M Karras",
    steps=20,
    cfg_scale=3.0,
    width=64,
    height=64,
    max_steps=100,
    max_cfg_scale=20.0,
    min_size=32,
    max_size=128,
    max_clip_skip=1,
    max_loras=3,
    closed_vocabulary=True,
)
OTHER: Final = Family(
    name="other",
    architecture="other",
    base_models=(),
    samplers=(),
    sampler="DPM++ 2M Karras",
    steps=25,
    cfg_scale=7.0,
    width=512,
    height=512,
    max_loras=0,
)
"""Everything that no pipeline here draws: other base models, video, labels nobody has seen yet."""

FAMILIES: Final = MappingProxyType(
    {family.name: family for family in (SD15, SD2, SDXL, FLUX1, SD35, CHROMA, QWEN, ZIMAGE, POCKET, OTHER)}
)
"""Family by name."""


@dataclass(frozen=True, slots=True)
class Distilled:
    """Defaults of a base model that was distilled to few steps, which its family's defaults would ruin.

    A cfg scale of 1 is none at all; for Flux, whose guidance is distilled, that is 0.
    """

    sampler: str
    steps: int
    cfg_scale: float


DISTILLED: Final = MappingProxyType(
    {
        "SD 1.5 LCM": Distilled(sampler="LCM", steps=6, cfg_scale=1.5),
        "SD 1.5 Hyper": Distilled(sampler="DDIM", steps=8, cfg_scale=1.0),
        "SDXL 1.0 LCM": Distilled(sampler="LCM", steps=6, cfg_scale=1.5),
        "SDXL Lightning": Distilled(sampler="Euler", steps=8, cfg_scale=1.0),
        "SDXL Hyper": Distilled(sampler="DDIM", steps=8, cfg_scale=1.0),
        "SDXL Turbo": Distilled(sampler="Euler a", steps=4, cfg_scale=1.0),
        "Flux.1 S": Distilled(sampler="Euler", steps=4, cfg_scale=0.0),
        "SD 3.5 Large Turbo": Distilled(sampler="Euler", steps=4, cfg_scale=1.0),
        "ZImageTurbo": Distilled(sampler="Euler", steps=9, cfg_scale=1.0),
    }
)
"""Few-step base models by label, as their authors recommend."""

_BY_LABEL = {label.casefold(): family for family in FAMILIES.values() for label in family.base_models}


def family_of(base_model: str) -> Family:
    """The family of a base model label.

    Args:
        base_model: A label as Civitai spells it, in any letter case ("SDXL 1.0", "Pony").

    Returns:
        The family, or the one named "other" for a label that cannot be drawn here. The list of labels is open: they
        appear, disappear and are renamed.
    """
    return _BY_LABEL.get(base_model.strip().casefold(), OTHER)
