"""A Ray cluster of two cores on this machine, which leaves nothing behind."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from unittest.mock import patch

from diffagent_tools.backends.ray import RayBackend, RayOptions
from tool_specs.calls import Call, to_call
from tool_specs.catalog import Catalog

ROOT = Path(__file__).parents[1]
ENVIRONMENT = {
    "PYTHONPATH": str(ROOT),
    "RAY_AUTH_MODE": "disabled",
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_DATA_DISABLE_PROGRESS_BARS": "1",
    "OMP_NUM_THREADS": "1",
}


@contextmanager
def local_ray() -> Iterator[None]:
    """A cluster that runs this checkout's code; once in a process, because Ray forks it from one full of threads."""
    import ray
    from ray import serve

    # The processes of the cluster keep the environment in which they were started.
    with patch.dict(os.environ, ENVIRONMENT):
        ray.init(
            address="local",
            num_cpus=2,
            object_store_memory=200 * 2**20,
            include_dashboard=False,
            log_to_driver=False,
            configure_logging=False,
        )
    try:
        yield
    finally:
        serve.shutdown()
        ray.shutdown()


@contextmanager
def served(name: str, **options: object) -> Iterator[RayBackend]:
    """The application with two replicas, as a backend; stopped at the end."""
    from ray import serve

    from diffagent_tools.backends.ray.app import app

    serve.start(proxy_location="Disabled", logging_config={"log_level": "ERROR"})
    defaults = {"num_cpus": 0.5, "min_replicas": 2, "max_replicas": 2, "graceful_shutdown_timeout_s": 20}
    serve.run(app(RayOptions.of(defaults | options).model_dump()), name=name, route_prefix=None)
    try:
        yield RayBackend("local", application=name)
    finally:
        serve.delete(name)


def pocket_call(checkpoint: int = 0, *, seed: int = 1, steps: int = 2, prompt: str = "a fox") -> Call:
    """A call for the pocket checkpoint with this number."""
    checkpoints = [spec for spec in Catalog.pocket() if spec.is_checkpoint]
    return to_call(checkpoints[checkpoint], {"prompt": prompt, "seed": seed, "steps": steps})
