"""The Serve application: `serve run diffagent_tools.backends.ray.app:app`, or a Serve config that names it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from ray import serve

from diffagent_tools.backends.ray.options import RayOptions
from diffagent_tools.backends.ray.replica import Replica

if TYPE_CHECKING:
    from ray.serve import Application

DEPLOYMENT: Final = "Replica"


def app(arguments: dict[str, Any]) -> Application:
    """Build the application.

    Args:
        arguments: Fields of `RayOptions`.

    Raises:
        ConfigError: A name or a value is not allowed.
    """
    options = RayOptions.of(arguments)
    return serve.deployment(Replica, name=DEPLOYMENT).options(**options.deployment()).bind(options)
