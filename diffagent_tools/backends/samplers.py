"""The scheduler of a sampler, made for a checkpoint; which one it is says `tool_specs.schedulers`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from tool_specs.exceptions import CallError
from tool_specs.schedulers import SCHEDULERS

if TYPE_CHECKING:
    from diffusers import SchedulerMixin


def scheduler_of(name: str, noise_schedule: Mapping[str, object]) -> SchedulerMixin:
    """A fresh scheduler.

    Args:
        name: A key of `SCHEDULERS`.
        noise_schedule: The scheduler configuration that belongs to the checkpoint (betas, prediction type).

    Raises:
        CallError: The name is unknown.
    """
    import diffusers

    kind = SCHEDULERS.get(name)
    if kind is None:
        msg = f"the sampler {name!r} is unknown to the diffusers backend; it has {', '.join(SCHEDULERS)}"
        raise CallError(msg)
    scheduler: SchedulerMixin = getattr(diffusers, kind.name).from_config(dict(noise_schedule), **kind.settings)
    return scheduler
