"""From a single-file checkpoint to a diffusers pipeline, offline where the family's config folder is at hand."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

from diffagent_tools.devices import one_load_at_a_time, quiet_libraries
from tool_specs.exceptions import BackendError, WeightsError
from tool_specs.families import FAMILIES
from tool_specs.pocket import pocket_config
from tool_specs.spec import ToolSpec
from tool_specs.weight_files import identify

if TYPE_CHECKING:
    import torch
    from diffusers import StableDiffusionImg2ImgPipeline, StableDiffusionPipeline
    from PIL.Image import Image

    from tool_specs.calls import Call

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class PipelineKind:
    """How a family is loaded.

    Attributes:
        pipeline: diffusers pipeline class.
        config: Gives the folder, or the name on the model hub, of the family's diffusers configuration.
        first_clip_skip: The clip skip, counted as A1111 does, that drawing without one amounts to: SDXL reads the last
            layer but one.
    """

    pipeline: str
    config: Callable[[], Path | str]
    first_clip_skip: int = 1


PIPELINES: Final[Mapping[str, PipelineKind]] = MappingProxyType(
    {
        "pocket": PipelineKind("StableDiffusionPipeline", pocket_config),
        "sd15": PipelineKind("StableDiffusionPipeline", lambda: "stable-diffusion-v1-5/stable-diffusion-v1-5"),
        "sdxl": PipelineKind(
            "StableDiffusionXLPipeline", lambda: "stabilityai/stable-diffusion-xl-base-1.0", first_clip_skip=2
        ),
    }
)
"""Families that this backend draws."""


def pipeline_kind(spec: ToolSpec) -> PipelineKind:
    """How the spec's family is loaded.

    Raises:
        BackendError: This backend does not draw the family.
    """
    kind = PIPELINES.get(spec.family)
    if kind is None:
        known = ", ".join(PIPELINES)
        msg = f"{spec.id} is {spec.base_model!r}; the diffusers backend draws {known}: choose another model"
        raise BackendError(msg)
    return kind


def load_pipeline(
    spec: ToolSpec, path: Path, *, config: Path | str, device: torch.device, dtype: torch.dtype
) -> StableDiffusionPipeline:
    """Load a checkpoint and put it on the device.

    Args:
        spec: The checkpoint.
        path: Its `.safetensors` file.
        config: Folder, or name on the hub, of the family's configuration.
        device: Where it draws.
        dtype: In what precision.

    Raises:
        WeightsError: The file is missing, damaged, pickled, or not a complete checkpoint of the spec's family.
        BackendError: The configuration cannot be had.
    """
    _check_identity(spec, path)
    if isinstance(config, Path) and not (config / "model_index.json").is_file():
        msg = (
            f"the {spec.family} configuration {config} has no model_index.json; give a diffusers folder for this family"
        )
        raise BackendError(msg)
    with quiet_libraries(), one_load_at_a_time():
        import diffusers

        kind = pipeline_kind(spec)
        try:
            pipeline: StableDiffusionPipeline = getattr(diffusers, kind.pipeline).from_single_file(
                str(path), config=str(config), local_files_only=isinstance(config, Path), torch_dtype=dtype
            )
            pipeline.to(device)
        except Exception as error:
            if out_of_memory(error):
                raise
            if isinstance(error, OSError) and isinstance(config, str):
                msg = (
                    f"the {spec.family} configuration {config!r} could not be read from the model hub "
                    f"({first_line(error)}); go online once, or pass configs={{{spec.family!r}: folder}}"
                )
                raise BackendError(msg) from error
            # diffusers leaves a tensor that is not in the file on the meta device, and stumbles over it later.
            reason = "tensors are missing from it" if "meta tensor" in str(error) else first_line(error)
            msg = f"{path} could not be loaded as a {spec.family} checkpoint: {reason}; download it again"
            raise WeightsError(msg) from error
    pipeline.set_progress_bar_config(disable=True)
    log.info("loaded %s from %s on %s", spec.id, path, device)
    return pipeline


def pipeline_for(
    pipeline: StableDiffusionPipeline, call: Call, start: Image | None
) -> tuple[StableDiffusionPipeline | StableDiffusionImg2ImgPipeline, dict[str, object]]:
    """The pipeline for a call's task, and the arguments that only this task has.

    Args:
        pipeline: The loaded text-to-image pipeline.
        call: What to draw.
        start: The picture that it begins from; None for text-to-image.

    Returns:
        For image-to-image another pipeline of the same components, as they are now: networks and words that were put
        into them act there as well. Making it takes a millisecond.
    """
    if start is None:
        return pipeline, {"width": call.width, "height": call.height}
    from PIL import Image

    picture = start.convert("RGB").resize((call.width, call.height), Image.Resampling.LANCZOS)
    return redrawing(pipeline), {"image": picture, "strength": call.denoising_strength}


def redrawing(pipeline: StableDiffusionPipeline) -> StableDiffusionImg2ImgPipeline:
    """An image-to-image pipeline of the same components, as they are now."""
    from diffusers import AutoPipelineForImage2Image

    redrawn: StableDiffusionImg2ImgPipeline = AutoPipelineForImage2Image.from_pipe(pipeline)
    redrawn.set_progress_bar_config(disable=True)
    return redrawn


def out_of_memory(error: BaseException) -> bool:
    """Whether an exception says that memory ran out, on the CPU or on the accelerator."""
    text = str(error).lower()
    return isinstance(error, MemoryError) or "out of memory" in text or "can't allocate memory" in text


def first_line(error: BaseException) -> str:
    """What an exception says, in one line of at most 200 characters."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return (lines[0] if lines else type(error).__name__)[:200]


def _check_identity(spec: ToolSpec, path: Path) -> None:
    """Compare what the file is with what the spec says it is."""
    identity = identify(path)
    if identity.kind != "checkpoint":
        msg = f"{path} holds {identity.kind} weights, not a checkpoint; {spec.id} needs a single-file checkpoint"
        raise WeightsError(msg)
    architecture = FAMILIES[spec.family].architecture
    if identity.architecture and identity.architecture != architecture:
        msg = f"{path} holds a {identity.architecture} checkpoint, but {spec.id} is {spec.base_model} ({architecture})"
        raise WeightsError(msg)
