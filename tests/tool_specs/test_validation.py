"""Validation errors in one line."""

from __future__ import annotations

import pytest
from pydantic import BaseModel, ConfigDict, ValidationError

from tool_specs.validation import one_line


class Size(BaseModel):
    model_config = ConfigDict(extra="forbid")

    width: int
    height: int
    depth: int
    unit: str


def test_a_misspelt_field_comes_before_those_that_are_missing() -> None:
    with pytest.raises(ValidationError) as caught:
        Size.model_validate({"widht": 7})
    assert one_line(caught.value) == (
        "widht is not a parameter of this call; width is missing; height is missing (and 2 more)"
    )
