from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

import diffagent_tools.backends.ray
from diffagent_tools.backends.ray.options import RayOptions
from diffagent_tools.backends.ray.sources import pocket_backend, source_at
from tool_specs.exceptions import ConfigError

CONFIG = Path(diffagent_tools.backends.ray.__file__).with_name("serve.yaml")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"replicas": 3}, r"replicas.*allowed are backend, num_cpus"),
        ({"max_replicas": 0}, r"max_replicas=0 is too small"),
        ({"backend": "tests.ray_sources"}, r"backend='tests\.ray_sources'"),
        ({"min_replicas": 5, "max_replicas": 2}, r"min_replicas.*5.*max_replicas.*2"),
    ],
)
def test_wrong_arguments(arguments: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        RayOptions.of(arguments)


def test_a_source_that_does_not_exist() -> None:
    assert source_at(RayOptions().backend) is pocket_backend
    for path in ("tests.nowhere:backend", "tests.ray_sources:nothing"):
        with pytest.raises(ConfigError, match=rf"backend '{path}' cannot be imported on this node"):
            source_at(path)


def test_the_shipped_config_builds_the_application() -> None:
    pytest.importorskip("ray.serve", reason="needs Ray: pip install 'diffagent-tools[ray]'")
    from ray.serve.schema import ServeDeploySchema

    from diffagent_tools.backends.ray.app import DEPLOYMENT, app
    from diffagent_tools.backends.ray.cluster import APPLICATION

    config = yaml.safe_load(CONFIG.read_text(encoding="utf-8"))
    [application] = config["applications"]

    ServeDeploySchema.model_validate(config)
    assert application["name"] == APPLICATION
    assert application["import_path"] == f"{app.__module__}:{app.__name__}"
    deployment = app(application["args"])._bound_deployment
    assert deployment.name == DEPLOYMENT
    assert deployment._deployment_config.autoscaling_config.max_replicas == application["args"]["max_replicas"]
    assert deployment._deployment_config.max_ongoing_requests == RayOptions().max_ongoing_requests
