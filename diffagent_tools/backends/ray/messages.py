"""What a replica sends back: `StepProgress` for each step, then `Pictures` or a `Refusal`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from diffagent_tools.backends.protocol import StepProgress

if TYPE_CHECKING:
    from PIL.Image import Image

    from tool_specs.calls import Call
    from tool_specs.exceptions import DiffAgentError

Pixels = NDArray[np.uint8]
"""RGB, (height, width, 3). Pictures travel like this and not as PNG: Ray moves arrays without copying them, while a PNG
of a megapixel takes longer to write than a network does to move what it saves."""


Starts = dict[str, Pixels]
"""The pictures that calls begin from, by their SHA-256."""


@dataclass(frozen=True, slots=True)
class ReplicaReport:
    """What a replica has done since it started.

    Attributes:
        replica: Its id.
        pid: Its process, on its node.
        drawings: Pictures drawn.
        hits: Those of them whose checkpoint was loaded already.
    """

    replica: str
    pid: int
    drawings: int
    hits: int


@dataclass(frozen=True, slots=True)
class Pictures:
    """Finished pictures with the calls that draw each again, and what their replica has done so far."""

    pixels: list[Pixels]
    calls: list[Call]
    report: ReplicaReport


@dataclass(frozen=True, slots=True)
class Refusal:
    """The error that the calls end in. Sent, not raised: Ray would put its own error and a traceback around it."""

    error: DiffAgentError


Message = StepProgress | Pictures | Refusal


def pixels_of(image: Image) -> Pixels:
    """A picture as it travels."""
    return np.asarray(image.convert("RGB"))


def image_of(pixels: Pixels) -> Image:
    """A picture that has travelled."""
    from PIL import Image

    return Image.fromarray(pixels)
