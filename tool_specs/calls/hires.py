"""The hires fix: a second pass that draws over the enlarged first picture."""

from __future__ import annotations

import math
from typing import Final, Literal

from pydantic import BaseModel, ConfigDict, Field

MAX_PLANNED_STEPS: Final = 1000
"""The noise levels that a diffusion model was trained on: a scheduler cannot plan more steps."""


class HiresFix(BaseModel):
    """A1111's "Hires. fix", with its names and defaults."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    upscale: float = Field(default=2.0, gt=1, le=4)
    """Factor on both sides."""
    denoising_strength: float = Field(default=0.7, gt=0, le=1)
    """How much of the enlarged picture is drawn anew."""
    steps: int | None = Field(default=None, ge=1, le=150)
    """Steps of the second pass; None for as many as the first has."""
    upscaler: Literal["Latent", "Lanczos"] = "Latent"
    """What is enlarged: the latents, or the picture."""

    def size(self, width: int, height: int, multiple: int) -> tuple[int, int]:
        """Width and height of the second pass, in pixels, cut to a multiple of `multiple`."""
        enlarged = (int(side * self.upscale) // multiple * multiple for side in (width, height))
        return next(enlarged), next(enlarged)

    def planned_steps(self, first: int) -> int:
        """The steps that a scheduler plans so that, from the strength on, the wanted ones are run.

        Args:
            first: Steps of the first pass.

        Raises:
            ValueError: They are more than any scheduler can plan.
        """
        steps = self.steps or first
        planned = math.ceil(steps / self.denoising_strength - 1e-6)
        if planned > MAX_PLANNED_STEPS:
            msg = (
                f"hires.denoising_strength={self.denoising_strength:g} is too little for {steps} steps: "
                f"the least is {steps / MAX_PLANNED_STEPS:g}"
            )
            raise ValueError(msg)
        return planned
