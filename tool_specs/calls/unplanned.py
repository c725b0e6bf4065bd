"""What people and graphs put into a call and planners do not: a start, a second pass, a variation, tiling."""

from __future__ import annotations

from collections.abc import Mapping

from tool_specs.calls.family_calls import parse_call
from tool_specs.calls.models import START_FIELDS, UNPLANNED_FIELDS, Call


def starting_from(call: Call, picture: str, strength: float) -> Call:
    """The same call as image-to-image.

    Args:
        call: What to draw.
        picture: SHA-256 of the picture in the artifact store to begin from.
        strength: How much of it is drawn anew, above 0 and at most 1.

    Raises:
        CallError: The strength is out of range, or leaves no step to draw.
    """
    return parse_call({**call.model_dump(), "init_image": picture, "denoising_strength": strength})


def with_unplanned(call: Call, given: Mapping[str, object]) -> Call:
    """The same call with what planners do not write.

    Args:
        call: What to draw.
        given: Fields of a call in its JSON form; only `UNPLANNED_FIELDS` are taken from it.

    Raises:
        CallError: One of them is out of range, or they do not go together.
    """
    unplanned = {name: given[name] for name in UNPLANNED_FIELDS if name in given}
    return parse_call({**call.model_dump(), **unplanned}) if unplanned else call


def start_of(call: Mapping[str, object]) -> tuple[str, float] | None:
    """Where a call in its JSON form begins from: the picture's SHA-256 and the strength; None for text-to-image."""
    picture, strength = (call.get(name) for name in START_FIELDS)
    return (picture, strength) if isinstance(picture, str) and isinstance(strength, int | float) else None
