"""The interface of every reward."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Protocol, runtime_checkable

from tool_specs.exceptions import RequestError

if TYPE_CHECKING:
    from PIL.Image import Image


@runtime_checkable
class Reward(Protocol):
    """Scores how well pictures show what prompts ask for. Safe to share between threads."""

    @property
    def name(self) -> str:
        """A short name that is stable between versions; calibrations are stored under it."""
        ...

    def score(self, images: Sequence[Image], prompts: Sequence[str]) -> list[float]:
        """One finite score for each picture and its prompt; higher is better, the scale is the reward's own.

        Raises:
            RequestError: There are not as many prompts as images.
        """
        ...


@runtime_checkable
class IdentifiedReward(Reward, Protocol):
    """A reward that can be told from another of the same name."""

    @property
    def identity(self) -> str:
        """Changes with everything that a score depends on beside the picture and its prompt: weights, scales, shares.

        Raises:
            ConfigError: What it depends on cannot be read.
        """
        ...


def identity_of(reward: Reward) -> str:
    """What scores of a reward may be kept under; of a reward that is not an `IdentifiedReward`, its name.

    Raises:
        ConfigError: What the reward depends on cannot be read.
    """
    return reward.identity if isinstance(reward, IdentifiedReward) else reward.name


def check_pairs(images: Sequence[Image], prompts: Sequence[str]) -> None:
    """See that each picture has its prompt.

    Raises:
        RequestError: There are not as many prompts as images.
    """
    if len(images) != len(prompts):
        msg = f"{len(images)} images but {len(prompts)} prompts; give one prompt for each image"
        raise RequestError(msg)
