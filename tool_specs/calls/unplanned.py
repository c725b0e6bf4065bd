"""What people and graphs put into a call and planners do not: the picture that it begins from, and a second pass."""

from __future__ import annotations

from collections.abc import Mapping

from tool_specs.calls.models import START_FIELDS, Call, parse_call


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


def with_hires(call: Call, hires: Mapping[str, object]) -> Call:
    """The same call with a hires fix.

    Args:
        call: What to draw.
        hires: Fields of `HiresFix`.

    Raises:
        CallError: One of them is out of range, or the picture would be too large.
    """
    return parse_call({**call.model_dump(), "hires": dict(hires)})


def start_of(call: Mapping[str, object]) -> tuple[str, float] | None:
    """Where a call in its JSON form begins from: the picture's SHA-256 and the strength; None for text-to-image."""
    picture, strength = (call.get(name) for name in START_FIELDS)
    return (picture, strength) if isinstance(picture, str) and isinstance(strength, int | float) else None
