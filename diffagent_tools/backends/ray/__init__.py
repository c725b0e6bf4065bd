"""Drawing on a Ray cluster: replicas behind Ray Serve, and the backend that sends calls to them."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from diffagent_tools.backends.ray.backend import RayBackend
    from diffagent_tools.backends.ray.options import RayOptions

__all__ = ["RayBackend", "RayOptions"]

_LAZY = {
    "RayBackend": "diffagent_tools.backends.ray.backend",
    "RayOptions": "diffagent_tools.backends.ray.options",
}


def __getattr__(name: str) -> object:
    if name not in _LAZY:
        msg = f"module {__name__!r} has no attribute {name!r}"
        raise AttributeError(msg)
    return getattr(import_module(_LAZY[name]), name)
