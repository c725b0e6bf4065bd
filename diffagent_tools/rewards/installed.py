"""The reward models on this machine, as one reward."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

from diffagent_tools.rewards.clip import CLIPReward, HPSReward, PickScoreReward
from diffagent_tools.rewards.image_reward import ImageRewardReward
from diffagent_tools.rewards.protocol import Reward, check_pairs
from diffagent_tools.rewards.unified import Calibration, UnifiedReward
from tool_specs.exceptions import ConfigError
from tool_specs.home import named_folder

if TYPE_CHECKING:
    from PIL.Image import Image

FOLDER_VARIABLE: Final = "DIFFAGENT_REWARDS"
CALIBRATION: Final = "calibration.json"

KINDS: Final[Mapping[str, Callable[[Path], Reward]]] = MappingProxyType(
    {"clip": CLIPReward, "pickscore": PickScoreReward, "hps": HPSReward, "image-reward": ImageRewardReward}
)
"""What loads a folder, by the start of the folder's name."""


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

    Raises:
        ConfigError: It holds no reward model or no calibration, or cannot be read.
    """
    try:
        places = sorted(place for place in folder.iterdir() if place.is_dir())
    except OSError as error:
        msg = f"{FOLDER_VARIABLE}: the folder {folder} cannot be read ({error.strerror or error})"
        raise ConfigError(msg) from error
    rewards = [
        load(place) for place in places for kind, load in KINDS.items() if place.name.casefold().startswith(kind)
    ]
    if not rewards:
        msg = (
            f"{FOLDER_VARIABLE}: {folder} holds no reward model; name its folders {', '.join(KINDS)} (docs/rewards.md)"
        )
        raise ConfigError(msg)
    return UnifiedReward(rewards, Calibration.load(folder / CALIBRATION))
