"""How a Serve application draws: its replicas, and how their number follows the load."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from tool_specs.exceptions import ConfigError
from tool_specs.validation import one_line


class RayOptions(BaseModel):
    """Arguments of the application, under Ray's own names where Ray has one."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    backend: str = Field(default="diffagent_tools.backends.ray.sources:pocket_backend", pattern=r"^[\w.]+:\w+$")
    """Import path of the function that makes a replica's backend; see `sources`."""
    num_cpus: float = Field(default=1, ge=0)
    """Of each replica; Ray lets that many threads work on tensors."""
    num_gpus: float = Field(default=0, ge=0)
    """Of each replica. Ray shows a replica its own GPUs only: with 0 it draws on the CPU."""
    min_replicas: int = Field(default=1, ge=0)
    max_replicas: int = Field(default=4, gt=0)
    checkpoints_per_replica: int = Field(default=2, gt=0)
    """Most checkpoints that stay loaded; fewer where the backend's own bound on memory is reached before."""
    target_ongoing_requests: float = Field(default=2, gt=0)
    """Requests of a replica, drawn and waiting, above which another replica is started."""
    max_ongoing_requests: int = Field(default=8, gt=0)
    """Requests that a replica takes on at once. It draws one at a time, first those for the checkpoint drawn with."""
    upscale_delay_s: float = Field(default=10, ge=0)
    downscale_delay_s: float = Field(default=600, ge=0)
    """Long, because a new replica has to load its checkpoints again."""
    graceful_shutdown_timeout_s: float = Field(default=120, ge=0)
    """How long a replica that is stopped may take to end its drawings."""
    health_check_period_s: float = Field(default=10, gt=0)
    health_check_timeout_s: float = Field(default=30, gt=0)
    max_failures: int = Field(default=3, gt=0)
    """Drawings in a row that fail on the machine before a replica counts as broken."""
    max_silence_s: float = Field(default=1800, gt=0)
    """Longest time without a step while a replica draws, downloads of weights included."""

    @model_validator(mode="after")
    def _in_order(self) -> RayOptions:
        if self.min_replicas > self.max_replicas:
            msg = f"min_replicas={self.min_replicas} is above max_replicas={self.max_replicas}"
            raise ValueError(msg)
        return self

    @classmethod
    def of(cls, arguments: dict[str, Any]) -> RayOptions:
        """Options from the `args` of a Serve config or the words after `serve run`.

        Raises:
            ConfigError: A name or a value is not allowed.
        """
        try:
            return cls.model_validate(arguments)
        except ValidationError as error:
            msg = f"arguments of the Serve application: {one_line(error)}; allowed are {', '.join(cls.model_fields)}"
            raise ConfigError(msg) from error

    def deployment(self) -> dict[str, Any]:
        """The same as options of a Serve deployment."""
        return {
            "ray_actor_options": {"num_cpus": self.num_cpus, "num_gpus": self.num_gpus},
            "max_ongoing_requests": self.max_ongoing_requests,
            "graceful_shutdown_timeout_s": self.graceful_shutdown_timeout_s,
            "graceful_shutdown_wait_loop_s": 0.5,
            "health_check_period_s": self.health_check_period_s,
            "health_check_timeout_s": self.health_check_timeout_s,
            "autoscaling_config": {
                "min_replicas": self.min_replicas,
                "max_replicas": self.max_replicas,
                "target_ongoing_requests": self.target_ongoing_requests,
                "upscale_delay_s": self.upscale_delay_s,
                "downscale_delay_s": self.downscale_delay_s,
            },
        }
