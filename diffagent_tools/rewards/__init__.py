"""What judges a picture: rewards, their common scale, and faults that need no reward."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

from diffagent_tools.rewards.faults import find_fault
from diffagent_tools.rewards.protocol import Reward
from diffagent_tools.rewards.unified import Calibration, Scale, UnifiedReward, calibrate, calibrate_all

if TYPE_CHECKING:
    from diffagent_tools.rewards.clip import CLIPReward, HPSReward, PickScoreReward
    from diffagent_tools.rewards.image_reward import ImageRewardReward

__all__ = [
    "CLIPReward",
    "Calibration",
    "HPSReward",
    "ImageRewardReward",
    "PickScoreReward",
    "Reward",
    "Scale",
    "UnifiedReward",
    "calibrate",
    "calibrate_all",
    "find_fault",
]

_LAZY = {
    "CLIPReward": "diffagent_tools.rewards.clip",
    "HPSReward": "diffagent_tools.rewards.clip",
    "ImageRewardReward": "diffagent_tools.rewards.image_reward",
    "PickScoreReward": "diffagent_tools.rewards.clip",
}


def __getattr__(name: str) -> object:
    if name not in _LAZY:
        msg = f"module {__name__!r} has no attribute {name!r}"
        raise AttributeError(msg)
    return getattr(import_module(_LAZY[name]), name)
