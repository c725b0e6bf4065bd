"""The reward models on this machine, as one reward."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

from diffagent_tools.rewards.clip import CLIPReward, HPSReward, PickScoreReward
from diffagent_tools.rewards.image_reward import ImageRewardReward
from diffagent_tools.rewards.learned import LearnedReward
from diffagent_tools.rewards.protocol import Reward, check_pairs
from diffagent_tools.rewards.unified import Calibration, UnifiedReward
from tool_specs.exceptions import ConfigError
from tool_specs.home import named_folder

if TYPE_CHECKING:
    from PIL.Image import Image

FOLDER_VARIABLE: Final = "DIFFAGENT_REWARDS"
CALIBRATION: Final = "calibration.json"

KINDS: Final[Mapping[str, type[LearnedReward]]] = MappingProxyType(
    {reward.kind: reward for reward in (CLIPReward, PickScoreReward, HPSReward, ImageRewardReward)}
)
"""What loads a folder, by the start of the folder's name; hyphens and underscores in it do not count."""


class NoReward:
    """1 for every picture: where no reward model is at hand, a picture without faults is as good as any other."""

    name = "none"

    def score(self, images: Sequence[Image], prompts: Sequence[str]) -> list[float]:
        """1 for each picture.

        Raises:
            RequestError: There are not as many prompts as images.
        """
        check_pairs(images, prompts)
        return [1.0] * len(images)


def installed_reward() -> Reward:
    """The unified reward of the models in the folder that DIFFAGENT_REWARDS names; `NoReward` where it is not set.

    Raises:
        ConfigError: The folder holds no reward model or no calibration, or cannot be read.
    """
    folder = os.environ.get(FOLDER_VARIABLE)
    return rewards_in(named_folder(folder, FOLDER_VARIABLE)) if folder else NoReward()


def rewards_in(folder: Path) -> UnifiedReward:
    """The unified reward of all reward models in a folder.

    Args:
        folder: Holds a folder for each reward, whose name begins with a key of `KINDS`, and the file `CALIBRATION`.
            Hidden folders do not count.

    Raises:
        ConfigError: It holds no reward model or a folder that is none, no calibration or one that is not of these
            models, or cannot be read.
    """
    try:
        places = sorted(place for place in folder.iterdir() if place.is_dir() and not place.name.startswith("."))
    except OSError as error:
        msg = f"{FOLDER_VARIABLE}: the folder {folder} cannot be read ({error.strerror or error})"
        raise ConfigError(msg) from error
    if not places:
        msg = (
            f"{FOLDER_VARIABLE}: {folder} holds no reward model; name its folders {', '.join(KINDS)} (docs/rewards.md)"
        )
        raise ConfigError(msg)
    rewards = [_reward_in(place) for place in places]
    path = folder / CALIBRATION
    calibration = Calibration.load(path)
    # A judge that is missing unnoticed would change every score.
    if gone := sorted(calibration.scales.keys() - {reward.name for reward in rewards}):
        msg = (
            f"{FOLDER_VARIABLE}: {path} has {', '.join(gone)}, whose folder is not in {folder}; put it back "
            f"under the name behind the hyphen, or remove the entry"
        )
        raise ConfigError(msg)
    return UnifiedReward(rewards, calibration)


def _reward_in(place: Path) -> LearnedReward:
    name = place.name.casefold().replace("-", "").replace("_", "")
    load = next((load for kind, load in KINDS.items() if name.startswith(kind)), None)
    if load is None:
        msg = (
            f"{FOLDER_VARIABLE}: what reward {place} is cannot be told; begin its name with one of "
            f"{', '.join(KINDS)}, or move it elsewhere (docs/rewards.md)"
        )
        raise ConfigError(msg)
    return load(place)
