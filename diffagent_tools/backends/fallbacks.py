"""What is tried, one after another, when memory runs out."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import TYPE_CHECKING, Final, Literal

if TYPE_CHECKING:
    import torch
    from diffusers import StableDiffusionPipeline

LARGEST_BATCH: Final = 8
"""Pictures that are denoised together where memory has never run out; on most devices more are hardly faster."""

Offload = Literal["", "model", "layer"]
"""What is on the device at a time: everything, one model, one layer."""


@dataclass(frozen=True, slots=True)
class Fallback:
    """A way to draw with less memory.

    Attributes:
        said: What it changes, as the warning says it.
        alone: Whether no other checkpoint stays on the device.
        tiled_vae: Whether the VAE decodes in slices and tiles; large pictures may change a little.
        sliced_attention: Whether attention is computed in slices; pictures change by rounding.
        halves_batches: Whether fewer pictures are denoised together, down to one.
        offload: Which weights are on the device at a time; the others wait in RAM.
        eases_loading: Whether it leaves more memory to the weights themselves.
    """

    said: str
    alone: bool = False
    tiled_vae: bool = False
    sliced_attention: bool = False
    halves_batches: bool = False
    offload: Offload = ""
    eases_loading: bool = False


_ALONE: Final = Fallback("with no other checkpoint on the device", alone=True, eases_loading=True)
_FEWER: Final = replace(_ALONE, said="fewer pictures together", halves_batches=True, eases_loading=False)
_TILED: Final = replace(_FEWER, said="the VAE in slices and tiles", tiled_vae=True)
_SLICED: Final = replace(_TILED, said="attention in slices", sliced_attention=True)
_OFFLOADED: Final = replace(_SLICED, said="one model on the device at a time", offload="model", eases_loading=True)

FALLBACKS: Final = (
    Fallback("as usual"),
    _ALONE,
    _FEWER,
    _TILED,
    _SLICED,
    _OFFLOADED,
    replace(_OFFLOADED, said="one layer on the device at a time", offload="layer"),
)
"""First what changes no picture, then what does a little, last what makes every step slower; each does what the one
before it does, and more."""


@dataclass(frozen=True, slots=True)
class Economy:
    """How a checkpoint is drawn with at a size.

    Attributes:
        level: The place in `FALLBACKS`.
        batch: Most pictures that are denoised together.
    """

    level: int = 0
    batch: int = LARGEST_BATCH

    @property
    def fallback(self) -> Fallback:
        """What is done to need less memory."""
        return FALLBACKS[self.level]


def step_down(now: Economy, *, pictures: int, is_loading: bool, offloads: bool, others: bool) -> Economy | None:
    """What to try next after memory ran out; None where nothing is left.

    Args:
        now: What was tried.
        pictures: How many were to be denoised together.
        is_loading: Whether it ran out before the checkpoint was loaded.
        offloads: Whether the device is one beside which weights can wait in RAM.
        others: Whether other checkpoints are loaded.
    """
    if now.fallback.halves_batches and pictures > 1 and not is_loading:
        return Economy(now.level, pictures // 2)
    for level in range(now.level + 1, len(FALLBACKS)):
        fallback = FALLBACKS[level]
        useful = (
            (not is_loading or fallback.eases_loading)
            and (not fallback.offload or offloads)
            and (fallback is not _ALONE or others)
            and (fallback is not _FEWER or pictures > 1)
        )
        if useful:
            return Economy(level, pictures // 2 if fallback is _FEWER else now.batch)
    return None


@contextmanager
def in_effect(fallback: Fallback, pipeline: StableDiffusionPipeline, device: torch.device) -> Iterator[None]:
    """Let a pipeline draw with less memory; afterwards it is what it was.

    Args:
        fallback: How.
        pipeline: With the call's networks in place. Where weights are to wait in RAM, it is there.
        device: What computes.
    """
    with ExitStack() as undo:
        if fallback.tiled_vae:
            vae = pipeline.vae
            for switch in ("slicing", "tiling"):
                getattr(vae, f"enable_{switch}")()
                undo.callback(getattr(vae, f"disable_{switch}"))
        if fallback.sliced_attention:
            pipeline.enable_attention_slicing()
            undo.callback(pipeline.disable_attention_slicing)
        if fallback.offload:
            undo.enter_context(_OFFLOADS[fallback.offload](pipeline, device))
        yield


@contextmanager
def _one_model_at_a_time(pipeline: StableDiffusionPipeline, device: torch.device) -> Iterator[None]:
    import torch

    pipeline.enable_model_cpu_offload(device=device)
    try:
        yield
    finally:
        pipeline.remove_all_hooks()
        pipeline.to(torch.device("cpu"))


@contextmanager
def _one_layer_at_a_time(pipeline: StableDiffusionPipeline, device: torch.device) -> Iterator[None]:
    """Unlike diffusers' sequential offload, group offload keeps each parameter, and so what is merged and shared."""
    import torch
    from diffusers.hooks import HookRegistry

    pipeline.enable_group_offload(device, torch.device("cpu"), offload_type="leaf_level")
    try:
        yield
    finally:
        for module in pipeline.components.values():
            if isinstance(module, torch.nn.Module):
                registry = HookRegistry.check_if_exists_or_initialize(module)
                registry.remove_hook("group_offloading", recurse=True)
        pipeline.to(torch.device("cpu"))


_OFFLOADS: Final = MappingProxyType({"model": _one_model_at_a_time, "layer": _one_layer_at_a_time})
