"""A1111 sampler names as diffusers schedulers.

The pairs follow diffusers' own tables (documentation page "Schedulers overview", of samplers and of noise schedules).
k-diffusion samplers space their steps evenly over the training steps ("linspace"); DDIM and PLMS come from the original
code, which takes every n-th training step ("leading"); "SGM Uniform" leaves out the step at the noiseless end
("trailing"). A checkpoint's noise schedule and prediction type always stay its own.
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
_EXPONENTIAL: Final[Mapping[str, Setting]] = {**_LINSPACE, "use_exponential_sigmas": True}
_BETA: Final[Mapping[str, Setting]] = {**_LINSPACE, "use_beta_sigmas": True}
_TRAILING: Final[Mapping[str, Setting]] = {"timestep_spacing": "trailing", "steps_offset": 0}
_SDE: Final[Mapping[str, Setting]] = {"algorithm_type": "sde-dpmsolver++"}
_HEUN: Final[Mapping[str, Setting]] = {**_SDE, "solver_type": "heun"}
_THIRD: Final[Mapping[str, Setting]] = {**_SDE, "solver_order": 3}
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
        "DPM++ 2M Exponential": Scheduler("DPMSolverMultistepScheduler", _EXPONENTIAL),
        "DPM++ 2M SGM Uniform": Scheduler("DPMSolverMultistepScheduler", _TRAILING),
        "DPM++ 2M Beta": Scheduler("DPMSolverMultistepScheduler", _BETA),
        "DPM++ 2M SDE Exponential": Scheduler("DPMSolverMultistepScheduler", {**_EXPONENTIAL, **_SDE}),
        "DPM++ 2M SDE SGM Uniform": Scheduler("DPMSolverMultistepScheduler", {**_TRAILING, **_SDE}),
        "DPM++ 2M SDE Heun": Scheduler("DPMSolverMultistepScheduler", {**_LINSPACE, **_HEUN}),
        "DPM++ 2M SDE Heun Karras": Scheduler("DPMSolverMultistepScheduler", {**_KARRAS, **_HEUN}),
        "DPM++ 2M SDE Heun Exponential": Scheduler("DPMSolverMultistepScheduler", {**_EXPONENTIAL, **_HEUN}),
        "DPM++ 3M SDE": Scheduler("DPMSolverMultistepScheduler", {**_LINSPACE, **_THIRD}),
        "DPM++ 3M SDE Karras": Scheduler("DPMSolverMultistepScheduler", {**_KARRAS, **_THIRD}),
        "DPM++ 3M SDE Exponential": Scheduler("DPMSolverMultistepScheduler", {**_EXPONENTIAL, **_THIRD}),
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
        "Euler Karras": Scheduler("EulerDiscreteScheduler", _KARRAS),
        "Euler SGM Uniform": Scheduler("EulerDiscreteScheduler", _TRAILING),
        "Euler Beta": Scheduler("EulerDiscreteScheduler", _BETA),
        "Euler a": Scheduler("EulerAncestralDiscreteScheduler", _LINSPACE),
        "Euler a SGM Uniform": Scheduler("EulerAncestralDiscreteScheduler", _TRAILING),
        "Heun": Scheduler("HeunDiscreteScheduler", _LINSPACE),
        "Heun Karras": Scheduler("HeunDiscreteScheduler", _KARRAS),
        "LMS": Scheduler("LMSDiscreteScheduler", _LINSPACE),
        "LMS Karras": Scheduler("LMSDiscreteScheduler", _KARRAS),
        "DDIM": Scheduler("DDIMScheduler", {**_LEADING, "clip_sample": False, "set_alpha_to_one": False}),
        "PLMS": Scheduler("PNDMScheduler", {**_LEADING, "skip_prk_steps": True, "set_alpha_to_one": False}),
        "UniPC": Scheduler("UniPCMultistepScheduler", _LINSPACE),
        "UniPC Karras": Scheduler("UniPCMultistepScheduler", _KARRAS),
        "DEIS": Scheduler("DEISMultistepScheduler", _LINSPACE),
        "DDPM": Scheduler("DDPMScheduler", {**_LEADING, "steps_offset": 0, "clip_sample": False}),
        "LCM": Scheduler("LCMScheduler", {**_LEADING, "steps_offset": 0}),
        "TCD": Scheduler("TCDScheduler", {**_LEADING, "steps_offset": 0}),
    }
)
"""Every sampler of the models that predict noise; for DPM++ SDE and 2S a the nearest scheduler."""

_FLOW: Final[Mapping[str, Setting]] = {"use_flow_sigmas": True, "prediction_type": "flow_prediction"}

FLOW_SCHEDULERS: Final[Mapping[str, Scheduler]] = MappingProxyType(
    {
        "Euler": Scheduler("FlowMatchEulerDiscreteScheduler"),
        "Euler Beta": Scheduler("FlowMatchEulerDiscreteScheduler", {"use_beta_sigmas": True}),
        "DPM++ 2M": Scheduler("DPMSolverMultistepScheduler", _FLOW),
        "UniPC": Scheduler("UniPCMultistepScheduler", _FLOW),
    }
)
"""Every sampler of the flow-matching models; those that `use_flow_sigmas` take the model's `shift` as `flow_shift`."""
