"""Seeds: what a picture's noise is made from."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

MAX_SEED = 2**32 - 1

Seed = Annotated[int, Field(ge=0, le=MAX_SEED)]


class Variation(BaseModel):
    """A1111's "Variation seed": the noise of another seed mixed in, for pictures that are alike but not the same."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    seed: Seed
    """The other seed."""
    strength: float = Field(gt=0, le=1)
    """How far the noise goes from the call's seed, near 0, to the other one, at 1."""
