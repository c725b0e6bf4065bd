"""Models as a search found them: hits of a shortlist, by type, and as plain data."""

from __future__ import annotations

from itertools import zip_longest
from typing import Literal

from typing_extensions import TypedDict

from tool_specs.search.shortlist import AnyShortlister, Hit, Shortlist

ModelType = Literal["Checkpoint", "LORA", "LoCon", "DoRA", "TextualInversion"]
"""What can be searched for: what draws, and what loads into it."""

MAX_FOUND = 20
"""Most models that a search gives."""
_WIDER = 8
"""How many times as many networks of all types are looked at while too few of the wanted type are among them."""
_MOST = 500


class Candidate(TypedDict):
    """One model on the shortlist, or next to it."""

    id: str
    name: str
    tool: str
    type: str
    family: str
    score: float
    why: list[str]
    matched: bool
    """Whether the request asks for something that it knows; else it is only the nearest, or only loads."""


def candidate(hit: Hit) -> Candidate:
    """One hit as plain data."""
    return {
        "id": hit.spec.id,
        "name": hit.spec.model_name,
        "tool": hit.spec.tool_name,
        "type": hit.spec.type,
        "family": hit.spec.family,
        "score": round(float(hit.score), 4),
        "why": list(hit.why),
        "matched": bool(hit.matched),
    }


def find_models(
    shortlister: AnyShortlister, request: str, k: int, model_type: ModelType | None = None
) -> tuple[list[Hit], bool]:
    """The models for a request, best first.

    Args:
        shortlister: Where to look.
        request: What the picture should show.
        k: Most models.
        model_type: Only these. By default checkpoints and networks take turns: their scores cannot be compared.

    Returns:
        The models, and whether any checkpoint can draw the request.

    Raises:
        RequestError: The request is empty or too long, or `k` is below 1.
    """
    found = shortlister.shortlist(request, k)
    if model_type is None:
        return _in_turn(found)[:k], found.fits
    if model_type == "Checkpoint":
        return list(found.hits), found.fits
    looked_at = k
    while True:
        hits = [hit for hit in found.networks if hit.spec.type == model_type]
        if len(hits) >= k or len(found.networks) < looked_at or looked_at >= _MOST:
            return hits[:k], found.fits
        looked_at = min(looked_at * _WIDER, _MOST)
        found = shortlister.shortlist(request, looked_at)


def _in_turn(found: Shortlist) -> list[Hit]:
    pairs = zip_longest(found.hits, found.networks)
    return [hit for pair in pairs for hit in pair if hit is not None]
