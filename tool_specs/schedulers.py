"""A1111 sampler names as diffusers schedulers.

The pairs follow diffusers' own table (documentation page "Schedulers overview"). k-diffusion samplers space their steps
evenly over the training steps ("linspace"); DDIM and PLMS come from the original code, which takes every n-th training
step ("leading"). A checkpoint's noise schedule and prediction type always stay its own.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Final

Setting = str | int | float | bool
_LINSPACE: Final[Mapping[str, Setting]] = {"timestep_spacing": "linspace", "steps_offset": 0}
_LEADING: Final[Mapping[str, Setting]] = {"timestep_spacing": "leading", "steps_offset": 1}
_KARRAS: Final[Mapping[str, Setting]] = {**_LINSPACE, "use_karras_sigmas": True}
_SDE: Final[Mapping[str, Setting]] = {"algorithm_type": "sde-dpmsolver++"}
_SINGLESTEP: Final[Mapping[str, Setting]] = {"lower_order_final": True}


@dataclass(frozen=True, slots=True)
class Scheduler:
    """A diffusers scheduler class and the settings that make it the sampler."""

    name: str
    settings: Mapping[str, Setting] = field(default_factory=dict)


SCHEDULERS: Final[Mapping[str, Scheduler]] = MappingProxyType(
    {
        "DPM++ 2M": Scheduler("DPMSolverMultistepScheduler", _LINSPACE),
        "DPM++ 2M Karras": Scheduler("DPMSolverMultistepScheduler", _KARRAS),
        "DPM++ 2M SDE": Scheduler("DPMSolverMultistepScheduler", {**_LINSPACE, **_SDE}),
        "DPM++ 2M SDE Karras": Scheduler("DPMSolverMultistepScheduler", {**_KARRAS, **_SDE}),
        "DPM++ SDE": Scheduler("DPMSolverSinglestepScheduler", {**_SDE, **_SINGLESTEP}),
        "DPM++ SDE Karras": Scheduler(
            "DPMSolverSinglestepScheduler", {**_SDE, **_SINGLESTEP, "use_karras_sigmas": True}
        ),
        "DPM++ 2S a": Scheduler("DPMSolverSinglestepScheduler", _SINGLESTEP),
        "DPM++ 2S a Karras": Scheduler("DPMSolverSinglestepScheduler", {**_SINGLESTEP, "use_karras_sigmas": True}),
        "DPM2": Scheduler("KDPM2DiscreteScheduler", _LINSPACE),
        "DPM2 Karras": Scheduler("KDPM2DiscreteScheduler", _KARRAS),
        "DPM2 a": Scheduler("KDPM2AncestralDiscreteScheduler", _LINSPACE),
        "DPM2 a Karras": Scheduler("KDPM2AncestralDiscreteScheduler", _KARRAS),
        "Euler": Scheduler("EulerDiscreteScheduler", _LINSPACE),
        "Euler a": Scheduler("EulerAncestralDiscreteScheduler", _LINSPACE),
        "Heun": Scheduler("HeunDiscreteScheduler", _LINSPACE),
        "LMS": Scheduler("LMSDiscreteScheduler", _LINSPACE),
        "LMS Karras": Scheduler("LMSDiscreteScheduler", _KARRAS),
        "DDIM": Scheduler("DDIMScheduler", {**_LEADING, "clip_sample": False, "set_alpha_to_one": False}),
        "PLMS": Scheduler("PNDMScheduler", {**_LEADING, "skip_prk_steps": True, "set_alpha_to_one": False}),
        "UniPC": Scheduler("UniPCMultistepScheduler", _LINSPACE),
        "DEIS": Scheduler("DEISMultistepScheduler", _LINSPACE),
        "LCM": Scheduler("LCMScheduler", {**_LEADING, "steps_offset": 0}),
    }
)
"""Every sampler of the models that predict noise; for DPM++ SDE and 2S a the nearest scheduler."""

_FLOW: Final[Mapping[str, Setting]] = {"use_flow_sigmas": True, "prediction_type": "flow_prediction"}

FLOW_SCHEDULERS: Final[Mapping[str, Scheduler]] = MappingProxyType(
    {
        "Euler": Scheduler("FlowMatchEulerDiscreteScheduler"),
        "DPM++ 2M": Scheduler("DPMSolverMultistepScheduler", _FLOW),
        "UniPC": Scheduler("UniPCMultistepScheduler", _FLOW),
    }
)
"""Every sampler of the flow-matching models; those that `use_flow_sigmas` take the model's `shift` as `flow_shift`."""
