"""What turns a call into an image."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

from diffagent_tools.backends.protocol import Backend, Drawing, StepProgress

if TYPE_CHECKING:
    from diffagent_tools.backends.diffusers_backend import DiffusersBackend
    from diffagent_tools.backends.memory import MemoryBudget
    from diffagent_tools.backends.queued import QueuedBackend
    from diffagent_tools.backends.ray.backend import RayBackend

__all__ = ["Backend", "DiffusersBackend", "Drawing", "MemoryBudget", "QueuedBackend", "RayBackend", "StepProgress"]

_LAZY = {
    "DiffusersBackend": "diffagent_tools.backends.diffusers_backend",
    "MemoryBudget": "diffagent_tools.backends.memory",
    "QueuedBackend": "diffagent_tools.backends.queued",
    "RayBackend": "diffagent_tools.backends.ray.backend",
}


def __getattr__(name: str) -> object:
    if name not in _LAZY:
        msg = f"module {__name__!r} has no attribute {name!r}"
        raise AttributeError(msg)
    return getattr(import_module(_LAZY[name]), name)
