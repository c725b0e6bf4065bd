"""The scheduler of a sampler, made for a checkpoint; which one it is says `tool_specs.schedulers`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from tool_specs.exceptions import CallError
from tool_specs.schedulers import FLOW_SCHEDULERS, SCHEDULERS

if TYPE_CHECKING:
    from diffusers import SchedulerMixin


def scheduler_of(name: str, noise_schedule: Mapping[str, object]) -> SchedulerMixin:
    """A fresh scheduler.

    Args:
        name: A key of `SCHEDULERS`, or of `FLOW_SCHEDULERS` for a checkpoint that matches flows.
        noise_schedule: The scheduler configuration that belongs to the checkpoint: betas and prediction type, or the
            `shift` of a flow.

    Raises:
        CallError: The name is unknown.
    """
    import diffusers

    flow_shift = noise_schedule.get("shift")
    schedulers = SCHEDULERS if flow_shift is None else FLOW_SCHEDULERS
    kind = schedulers.get(name)
    if kind is None:
        msg = f"the sampler {name!r} is unknown to the diffusers backend; it has {', '.join(schedulers)}"
        raise CallError(msg)
    settings: dict[str, object] = dict(kind.settings)
    if "use_flow_sigmas" in settings:
        settings["flow_shift"] = flow_shift
    scheduler: SchedulerMixin = getattr(diffusers, kind.name).from_config(dict(noise_schedule), **settings)
    return scheduler
