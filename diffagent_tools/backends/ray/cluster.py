"""The Ray cluster that the environment names, and the application on it."""

from __future__ import annotations

import logging
import os
import socket
from typing import TYPE_CHECKING, Final

from diffagent_tools.devices import require
from tool_specs.exceptions import ConfigError

if TYPE_CHECKING:
    from ray.serve.handle import DeploymentHandle

ADDRESS_VARIABLE: Final = "DIFFAGENT_RAY_ADDRESS"
DEFAULT_ADDRESS: Final = "auto"
"""The cluster that this machine is a node of."""
APPLICATION: Final = "diffagent"
_REACHABLE_SECONDS: Final = 5.0
START: Final = f"serve run --name {APPLICATION} diffagent_tools.backends.ray.app:app"


def chosen_ray_address() -> str | None:
    """The cluster that the environment names; None where it names none."""
    return os.environ.get(ADDRESS_VARIABLE) or None


def connect(address: str | None) -> None:
    """Connect this process to a cluster; nothing happens where it is connected already.

    Args:
        address: Of the cluster, as `ray.init` takes it. None: the cluster that this machine is a node of, else a new
            one on this machine, which ends with this process.

    Raises:
        ConfigError: Ray is not installed, or the cluster cannot be reached.
    """
    if address is not None and address.startswith("ray://"):
        msg = (
            f"the address {address!r} is one of Ray Client, which cannot stream; run this on a node of the cluster "
            f"(`ray start --address=HEAD:6379`) with {ADDRESS_VARIABLE}=auto"
        )
        raise ConfigError(msg)
    require("ray", extra="ray")
    import ray

    if ray.is_initialized():
        return
    try:
        address = _reachable(address)
        for name in ("ray", "ray.data", "ray.serve"):
            logging.getLogger(name).setLevel(logging.ERROR)
        ray.init(address=address, log_to_driver=False, configure_logging=False)
    except (OSError, RuntimeError, ValueError) as error:
        msg = (
            f"no Ray cluster at {address!r} ({' '.join(str(error).split())[:200]}); start one with `ray start --head`, "
            f"or set {ADDRESS_VARIABLE} to where yours is"
        )
        raise ConfigError(msg) from error


def application_handle(address: str, application: str) -> DeploymentHandle:
    """The replicas of an application.

    Args:
        address: Of the cluster; see `connect`.
        application: Its name.

    Raises:
        ConfigError: Ray is not installed, the cluster cannot be reached, or it does not run the application.
    """
    connect(address)
    from ray import serve
    from ray.serve.exceptions import RayServeException

    try:
        return serve.get_app_handle(application)
    except RayServeException as error:
        msg = f"the Ray cluster at {address!r} runs no Serve application {application!r}; start it there: `{START}`"
        raise ConfigError(msg) from error


def _reachable(address: str | None) -> str | None:
    """The address to connect to: Ray gives up only after minutes where nothing listens.

    A machine remembers the cluster that it was last a node of, even where that did not end in order.

    Raises:
        OSError: Nothing listens at the address.
    """
    try:
        from ray._private.services import canonicalize_bootstrap_address as found_address
    except ImportError:  # not part of Ray's public interface
        return address
    found = found_address(address)
    if found is None:
        return address
    host, _, port = found.rpartition(":")
    try:
        socket.create_connection((host.strip("[]"), int(port)), timeout=_REACHABLE_SECONDS).close()
    except OSError as error:
        if address is None and not os.environ.get("RAY_ADDRESS"):
            return "local"
        msg = f"nothing answers at {found}: {error}"
        raise ConnectionError(msg) from error
    return address
