"""Denoising: one pass, or with a hires fix two, of which the second draws over the enlarged first picture."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, cast

import numpy as np

from diffagent_tools.backends.pipelines import pipeline_for, redrawing
from diffagent_tools.backends.variation import one_or_all, varied_noise
from tool_specs.pipelines import PIPELINES

if TYPE_CHECKING:
    import torch
    from diffusers import StableDiffusionPipeline
    from numpy.typing import NDArray
    from PIL.Image import Image

    from tool_specs.calls import Call, HiresFix


def denoise(
    pipeline: StableDiffusionPipeline,
    call: Call,
    texts: Mapping[str, object],
    start: Image | None,
    generators: Sequence[torch.Generator],
    after_step: Callable[[int, int], None],
) -> NDArray[np.float32]:
    """Run a call's passes, for several pictures together.

    Args:
        pipeline: The text-to-image pipeline, with the call's networks and sampler in place.
        call: What to draw.
        texts: The pipeline's arguments for both prompts.
        start: The picture that the call begins from.
        generators: Source of all noise, one for each picture. As in A1111, the second pass begins from the same seed.
        after_step: Called after every step with the number of steps done and their total over all passes.

    Returns:
        The pictures, (pictures, height, width, 3), from 0 to 1.
    """
    done = 0

    def run(one: StableDiffusionPipeline, steps: int, later: int, **task: object) -> NDArray[np.float32]:
        before = done

        def on_step_end(_: object, step: int, _time: object, tensors: dict[str, object]) -> dict[str, object]:
            nonlocal done
            done = before + step + 1
            after_step(done, before + one.num_timesteps + later)
            return tensors

        family = PIPELINES[call.family]
        guidance = {family.guidance: family.guidance_of(call.cfg_scale)}
        arguments = {"output_type": "np", **guidance, **texts, **task}
        return cast(
            "NDArray[np.float32]",
            one(
                **arguments,
                num_inference_steps=steps,
                num_images_per_prompt=len(generators),
                generator=one_or_all(generators),
                callback_on_step_end=on_step_end,
                callback_on_step_end_tensor_inputs=[],
            ).images,
        )

    first, task = pipeline_for(pipeline, call, start)
    task |= varied_noise(pipeline, call, generators)
    hires = call.hires
    if hires is None:
        return run(first, call.steps, 0, **task)
    steps = hires.steps or call.steps
    output = "latent" if hires.upscaler == "Latent" else "np"
    small = run(first, call.steps, steps, **task, output_type=output)
    for generator in generators:
        generator.manual_seed(generator.initial_seed())
    large = _enlarged(small, hires, call.final_size, pipeline.vae_scale_factor)
    planned = hires.planned_steps(call.steps)
    return run(redrawing(pipeline), planned, 0, image=large, strength=hires.denoising_strength)


def _enlarged(
    small: NDArray[np.float32] | torch.Tensor, hires: HiresFix, size: tuple[int, int], scale: int
) -> list[Image] | torch.Tensor:
    """The first pass at the size of the second: latents by bilinear interpolation, pictures by Lanczos.

    Args:
        small: Latents, (pictures, channels, height, width), or pictures, (pictures, height, width, 3).
        hires: Its upscaler says which.
        size: Final width and height in pixels.
        scale: Pixels that one latent stands for, along one side.
    """
    from PIL import Image
    from torch.nn.functional import interpolate

    width, height = size
    if hires.upscaler == "Latent":
        return interpolate(cast("torch.Tensor", small), size=(height // scale, width // scale), mode="bilinear")
    pixels = (np.nan_to_num(small) * 255).round().astype(np.uint8)
    return [Image.fromarray(each).resize(size, Image.Resampling.LANCZOS) for each in pixels]
