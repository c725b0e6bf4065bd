"""A1111 sampler names as diffusers schedulers.

The pairs follow diffusers' own table (documentation page "Schedulers overview"). k-diffusion samplers space their steps
evenly over the training steps ("linspace"); DDIM and PLMS come from the original code, which takes every n-th training
step ("leading"). A checkpoint's noise schedule and prediction type always stay its own.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

from tool_specs.exceptions import CallError

if TYPE_CHECKING:
    from diffusers import SchedulerMixin

Setting = str | int | float | bool
_LINSPACE: Final[Mapping[str, Setting]] = {"timestep_spacing": "linspace", "steps_offset": 0}
_LEADING: Final[Mapping[str, Setting]] = {"timestep_spacing": "leading", "steps_offset": 1}
_KARRAS: Final[Mapping[str, Setting]] = {**_LINSPACE, "use_karras_sigmas": True}
_SDE: Final[Mapping[str, Setting]] = {"algorithm_type": "sde-dpmsolver++"}


@dataclass(frozen=True, slots=True)
class Sampler:
    """A diffusers scheduler class and the settings that make it the sampler."""

    scheduler: str
    settings: Mapping[str, Setting] = field(default_factory=dict)


SAMPLERS: Final[Mapping[str, Sampler]] = MappingProxyType(
    {
        "DPM++ 2M": Sampler("DPMSolverMultistepScheduler", _LINSPACE),
        "DPM++ 2M Karras": Sampler("DPMSolverMultistepScheduler", _KARRAS),
        "DPM++ 2M SDE": Sampler("DPMSolverMultistepScheduler", {**_LINSPACE, **_SDE}),
        "DPM++ 2M SDE Karras": Sampler("DPMSolverMultistepScheduler", {**_KARRAS, **_SDE}),
        "DPM++ SDE": Sampler("DPMSolverSinglestepScheduler", {**_SDE, "lower_order_final": True}),
        "DPM++ SDE Karras": Sampler(
            "DPMSolverSinglestepScheduler", {**_SDE, "lower_order_final": True, "use_karras_sigmas": True}
        ),
        "DPM++ 2S a": Sampler("DPMSolverSinglestepScheduler", {"lower_order_final": True}),
        "DPM++ 2S a Karras": Sampler(
            "DPMSolverSinglestepScheduler", {"lower_order_final": True, "use_karras_sigmas": True}
        ),
        "DPM2": Sampler("KDPM2DiscreteScheduler", _LINSPACE),
        "DPM2 Karras": Sampler("KDPM2DiscreteScheduler", _KARRAS),
        "DPM2 a": Sampler("KDPM2AncestralDiscreteScheduler", _LINSPACE),
        "DPM2 a Karras": Sampler("KDPM2AncestralDiscreteScheduler", _KARRAS),
        "Euler": Sampler("EulerDiscreteScheduler", _LINSPACE),
        "Euler a": Sampler("EulerAncestralDiscreteScheduler", _LINSPACE),
        "Heun": Sampler("HeunDiscreteScheduler", _LINSPACE),
        "LMS": Sampler("LMSDiscreteScheduler", _LINSPACE),
        "LMS Karras": Sampler("LMSDiscreteScheduler", _KARRAS),
        "DDIM": Sampler("DDIMScheduler", {**_LEADING, "clip_sample": False, "set_alpha_to_one": False}),
        "PLMS": Sampler("PNDMScheduler", {**_LEADING, "skip_prk_steps": True, "set_alpha_to_one": False}),
        "UniPC": Sampler("UniPCMultistepScheduler", _LINSPACE),
        "DEIS": Sampler("DEISMultistepScheduler", _LINSPACE),
        "LCM": Sampler("LCMScheduler", {**_LEADING, "steps_offset": 0}),
    }
)
"""Every sampler of the models that predict noise; for DPM++ SDE and 2S a the nearest scheduler."""


def scheduler_of(name: str, noise_schedule: Mapping[str, object]) -> SchedulerMixin:
    """A fresh scheduler.

    Args:
        name: A key of `SAMPLERS`.
        noise_schedule: The scheduler configuration that belongs to the checkpoint (betas, prediction type).

    Raises:
        CallError: The name is unknown.
    """
    import diffusers

    sampler = SAMPLERS.get(name)
    if sampler is None:
        msg = f"the sampler {name!r} is unknown to the diffusers backend; it has {', '.join(SAMPLERS)}"
        raise CallError(msg)
    scheduler: SchedulerMixin = getattr(diffusers, sampler.scheduler).from_config(
        dict(noise_schedule), **sampler.settings
    )
    return scheduler
