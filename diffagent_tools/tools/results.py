"""What the tools put into the artifacts of their messages: plain dicts, told apart by `type`, fit for a checkpoint.

A language model reads the message's content, a short JSON text; programs read the artifact. Neither holds a picture,
only where it is kept.
"""

from __future__ import annotations

from typing import Literal, TypeGuard

from pydantic import JsonValue
from typing_extensions import TypedDict

from diffagent_tools.artifacts import ImageReference
from diffagent_tools.candidates import Candidate


class ImageResult(TypedDict):
    """A picture was drawn."""

    type: Literal["diffagent.image"]
    image: ImageReference
    call: dict[str, JsonValue]
    """The call that draws it again, its seed filled in."""


class ModelsResult(TypedDict):
    """Models were found, best first, or one was described."""

    type: Literal["diffagent.models"]
    request: str
    """What was asked: words, or the name of the model that is described."""
    fits: bool
    """Whether any model can draw it; else these are only the nearest."""
    models: list[Candidate]


class ScoreResult(TypedDict):
    """A picture was judged."""

    type: Literal["diffagent.score"]
    image: ImageReference
    prompt: str
    reward: float
    scores: dict[str, float]
    """What each reward that is combined gave, on its own scale."""
    fault: str | None
    """What is wrong with the picture whatever the reward says: black, or one flat colour."""


def is_image(artifact: object) -> TypeGuard[ImageResult]:
    """Whether a message's artifact is that of a drawn picture."""
    return isinstance(artifact, dict) and artifact.get("type") == "diffagent.image"


def is_models(artifact: object) -> TypeGuard[ModelsResult]:
    """Whether a message's artifact is that of found models."""
    return isinstance(artifact, dict) and artifact.get("type") == "diffagent.models"
