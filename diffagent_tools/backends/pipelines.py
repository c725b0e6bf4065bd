"""From a single-file checkpoint to a diffusers pipeline, offline where the family's config folder is at hand."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

from diffagent_tools.devices import one_load_at_a_time, quiet_libraries
from tool_specs.compatibility import architecture_of
from tool_specs.exceptions import BackendError, CallError, WeightsError
from tool_specs.pipelines import PIPELINES, Pipeline, noise_settings, scheduler_for
from tool_specs.spec import ToolSpec
from tool_specs.weight_files import identify, read_header

if TYPE_CHECKING:
    import torch
    from diffusers import StableDiffusionImg2ImgPipeline, StableDiffusionPipeline
    from PIL.Image import Image

    from tool_specs.calls import Call

log = logging.getLogger(__name__)

_MARKS: Final[Mapping[str, tuple[str, object]]] = MappingProxyType(
    {"v_pred": ("prediction_type", "v_prediction"), "ztsnr": ("rescale_betas_zero_snr", True)}
)
"""Empty tensors by which a checkpoint tells its noise schedule, as ComfyUI reads them, to the scheduler's setting."""

_REDRAWN_BY: Final = MappingProxyType(
    {kind.text_to_image: kind.image_to_image for kind in PIPELINES.values() if kind.is_flow}
)
"""Text-to-image pipeline to the one of the same components; diffusers' own search does not find Chroma's."""

_OUT_OF_MEMORY: Final = ("out of memory", "can't allocate memory", "cannot allocate memory")
"""What CUDA, torch and the system say when memory runs out."""
_NOT_OF_FLOWS: Final = MappingProxyType(
    {
        "hires": ("hires fix", " and draw larger"),
        "variation": ("variation", " and give another seed"),
        "tiling": ("tiling", ""),
    }
)
"""Fields of a call that no flow is drawn with here: their name, and what to do beside leaving them out."""


def pipeline_kind(spec: ToolSpec) -> Pipeline:
    """How the spec's family is drawn.

    Raises:
        BackendError: This backend does not draw the family.
    """
    kind = PIPELINES.get(spec.family)
    if kind is None:
        known = ", ".join(PIPELINES)
        msg = f"{spec.id} is {spec.base_model!r}; the diffusers backend draws {known}: choose another model"
        raise BackendError(msg)
    return kind


def check_call(call: Call, checkpoint: ToolSpec) -> None:
    """See that the pipeline of a checkpoint can do what a call of its family asks for, before anything is loaded.

    Raises:
        CallError: It cannot.
    """
    kind = pipeline_kind(checkpoint)
    scheduler_for(checkpoint, call.sampler, from_picture=call.init_image is not None)
    for field, said in _NOT_OF_FLOWS.items() if kind.is_flow else ():
        if getattr(call, field):
            msg = f"the diffusers backend draws no {said[0]} with {checkpoint.family}: leave {field} out{said[1]}"
            raise CallError(msg)


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
    kind = pipeline_kind(spec)
    log.info("loading %s from %s: a %s pipeline takes up to %g GB", spec.id, path, spec.family, kind.weights_gb)
    with quiet_libraries(), one_load_at_a_time():
        try:
            pipeline = _read(kind, path, config, dtype)
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
    pipeline.scheduler.register_to_config(**{**noise_settings(spec), **_said_by_tensors(path)})
    pipeline.set_progress_bar_config(disable=True)
    log.info("loaded %s from %s on %s", spec.id, path, device)
    return pipeline


def _read(kind: Pipeline, path: Path, config: Path | str, dtype: torch.dtype) -> StableDiffusionPipeline:
    """The pipeline of a file: all of it, or with the file's transformer among the configuration's other parts."""
    import diffusers

    where: dict[str, object] = {"local_files_only": isinstance(config, Path), "torch_dtype": dtype}
    whole = getattr(diffusers, kind.text_to_image)
    if not kind.is_flow:
        return whole.from_single_file(str(path), config=str(config), **where)
    transformer = getattr(diffusers, kind.transformer).from_single_file(
        str(path), config=str(config), subfolder="transformer", **where
    )
    return whole.from_pretrained(str(config), transformer=transformer, **where)


def _said_by_tensors(path: Path) -> dict[str, object]:
    """What a file says about its noise schedule."""
    tensors = read_header(path).tensors
    return dict(setting for mark, setting in _MARKS.items() if mark in tensors)


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
    size = {"width": call.width, "height": call.height} if PIPELINES[call.family].is_flow else {}
    return redrawing(pipeline), {"image": picture, "strength": call.denoising_strength, **size}


def redrawing(pipeline: StableDiffusionPipeline) -> StableDiffusionImg2ImgPipeline:
    """An image-to-image pipeline of the same components, as they are now."""
    import diffusers

    flow = _REDRAWN_BY.get(type(pipeline).__name__)
    redrawn: StableDiffusionImg2ImgPipeline = (
        getattr(diffusers, flow)(**pipeline.components)
        if flow
        else diffusers.AutoPipelineForImage2Image.from_pipe(pipeline)
    )
    redrawn.set_progress_bar_config(disable=True)
    return redrawn


def out_of_memory(error: BaseException) -> bool:
    """Whether an exception, or one that led to it, says that memory ran out, on the CPU or on the accelerator."""
    chain: BaseException | None = error
    while chain is not None:
        text = str(chain).lower()
        if isinstance(chain, MemoryError) or any(said in text for said in _OUT_OF_MEMORY):
            return True
        chain = chain.__cause__ or chain.__context__
    return False


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
    architecture = architecture_of(spec)
    if identity.architecture and identity.architecture != architecture:
        msg = f"{path} holds a {identity.architecture} checkpoint, but {spec.id} is {spec.base_model} ({architecture})"
        raise WeightsError(msg)
