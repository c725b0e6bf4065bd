"""The unified reward: any number of rewards on one scale."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Final, Self

from diffagent_tools.rewards.clip import CLIPReward
from diffagent_tools.rewards.protocol import Reward, identity_of
from tool_specs.exceptions import ConfigError, RequestError
from tool_specs.pocket import pocket_calibration
from tool_specs.whole_files import write_whole

if TYPE_CHECKING:
    from PIL.Image import Image

LOGISTIC: Final = 1.702
"""Scale at which the logistic function is within 0.0095 of the normal distribution function (Camilli 1994)."""
MIN_SAMPLES: Final = 8


@dataclass(frozen=True, slots=True)
class Scale:
    """How one reward is distributed over ordinary pictures.

    Attributes:
        mean: Mean score.
        std: Standard deviation, above 0.
        n: Pictures measured.
    """

    mean: float
    std: float
    n: int


@dataclass(frozen=True, slots=True)
class Calibration:
    """The scale of each reward, by its name."""

    scales: Mapping[str, Scale]

    def merged(self, other: Calibration) -> Calibration:
        """Both; `other` wins where both know a reward."""
        return Calibration(MappingProxyType({**self.scales, **other.scales}))

    def save(self, path: Path) -> None:
        """Write the calibration as JSON; the file is complete or not there."""
        scales = {name: asdict(scale) for name, scale in sorted(self.scales.items())}
        write_whole(path, json.dumps(scales, indent=2) + "\n")

    @classmethod
    def load(cls, path: Path) -> Calibration:
        """Read a calibration that `save` has written.

        Raises:
            ConfigError: The file is missing or is no calibration.
        """
        try:
            raw = json.loads(path.read_text(encoding="utf-8"))
            scales = {
                str(name): Scale(mean=float(scale["mean"]), std=float(scale["std"]), n=int(scale["n"]))
                for name, scale in raw.items()
            }
        except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
            msg = (
                f"the reward calibration {path} cannot be read ({error}); write it again with calibrate(...).save(path)"
            )
            raise ConfigError(msg) from error
        for name, scale in scales.items():
            if not (math.isfinite(scale.mean) and math.isfinite(scale.std) and scale.std > 0):
                numbers = f"mean {scale.mean} and std {scale.std}"
                msg = f"the calibration of {name!r} in {path} has {numbers}; calibrate it again"
                raise ConfigError(msg)
        return cls(MappingProxyType(scales))


def calibrate(reward: Reward, images: Sequence[Image], prompts: Sequence[str]) -> Calibration:
    """Measure a reward on ordinary pictures, for example those that a base model draws with its default parameters.

    Args:
        reward: What is measured.
        images: At least `MIN_SAMPLES` pictures.
        prompts: What each was drawn from.

    Raises:
        RequestError: There are too few pictures, or all score the same.
    """
    scores = reward.score(images, prompts)
    if len(scores) < MIN_SAMPLES:
        msg = f"{len(scores)} pictures are too few to calibrate {reward.name!r}; give at least {MIN_SAMPLES}"
        raise RequestError(msg)
    mean = math.fsum(scores) / len(scores)
    std = math.sqrt(math.fsum((score - mean) ** 2 for score in scores) / (len(scores) - 1))
    if std < 1e-9:
        msg = f"{reward.name!r} scores every calibration picture {mean:.4g}; give pictures that differ"
        raise RequestError(msg)
    return Calibration(MappingProxyType({reward.name: Scale(mean, std, len(scores))}))


def calibrate_all(rewards: Sequence[Reward], images: Sequence[Image], prompts: Sequence[str]) -> Calibration:
    """Measure several rewards on the same ordinary pictures, so that `UnifiedReward` can put them on one scale.

    Args:
        rewards: What is measured, one after the other.
        images: At least `MIN_SAMPLES` pictures.
        prompts: What each was drawn from.

    Raises:
        RequestError: There are too few pictures, or a reward scores all of them the same.
    """
    measured = Calibration(MappingProxyType({}))
    for reward in rewards:
        measured = measured.merged(calibrate(reward, images, prompts))
    return measured


class UnifiedReward:
    r"""Several rewards as one number from 0 to 1.

    With the score $s_i$ of reward $i$, its mean $\mu_i$ and standard deviation $\sigma_i$ over ordinary pictures, and
    its weight $w_i$:

    $$ r = \frac{\sum_i w_i\, \Lambda(1.702\,(s_i - \mu_i) / \sigma_i)}{\sum_i w_i},
       \qquad \Lambda(z) = \frac{1}{1 + e^{-z}} $$

    The logistic function at this scale approximates the normal distribution function (Camilli 1994), so each term is
    about the share of ordinary pictures that score lower: 0.5 is an ordinary picture, 0.98 is two standard deviations
    above. Standardising makes rewards of different ranges comparable, as the code of ImageReward (Xu et al. 2023) does
    with its own output; squashing keeps one extreme reward from outvoting the others.
    """

    name = "unified"

    def __init__(
        self, rewards: Sequence[Reward], calibration: Calibration, *, weights: Mapping[str, float] | None = None
    ) -> None:
        """Combine rewards.

        Args:
            rewards: At least one, with different names.
            calibration: Has a scale for each of them.
            weights: Weight by reward name, 1 where it is not named.

        Raises:
            ConfigError: There is no reward, two share a name, one has no scale, or a weight is of no use.
        """
        names = [reward.name for reward in rewards]
        if not names or len(set(names)) < len(names):
            msg = f"the unified reward needs at least one reward and different names, not {names}"
            raise ConfigError(msg)
        uncalibrated = [name for name in names if name not in calibration.scales]
        if uncalibrated:
            msg = (
                f"no calibration for {', '.join(uncalibrated)}; measure it with calibrate_all(rewards, images, prompts)"
            )
            raise ConfigError(msg)
        chosen = dict(weights or {})
        useless = [name for name, weight in chosen.items() if name not in names or not 0 <= weight < math.inf]
        self._weights = {name: chosen.get(name, 1.0) for name in names}
        if useless or sum(self._weights.values()) <= 0:
            msg = f"weights {chosen} do not fit the rewards {names}; give each a number of at least 0, one above 0"
            raise ConfigError(msg)
        self._rewards = tuple(rewards)
        self._scales = {name: calibration.scales[name] for name in names}

    @classmethod
    def pocket(cls) -> Self:
        """The one that ships: CLIP score of the pocket model, on the scale of ordinary pocket pictures."""
        return cls([CLIPReward()], Calibration.load(pocket_calibration()))

    @cached_property
    def identity(self) -> str:
        """The rewards in it, each with its weights, its scale and its share.

        Raises:
            ConfigError: What a reward in it depends on cannot be read.
        """
        told = {
            one.name: {
                "reward": identity_of(one),
                "mean": self._scales[one.name].mean,
                "std": self._scales[one.name].std,
                "weight": self._weights[one.name],
            }
            for one in self._rewards
        }
        return f"{self.name} {json.dumps(told, sort_keys=True)}"

    def score(self, images: Sequence[Image], prompts: Sequence[str]) -> list[float]:
        """The unified reward of each picture, 0 to 1.

        Raises:
            RequestError: There are not as many prompts as images.
        """
        return [self._combined(raw) for raw in self.raw_scores(images, prompts)]

    def raw_scores(self, images: Sequence[Image], prompts: Sequence[str]) -> list[dict[str, float]]:
        """The score of each picture by each reward, on the reward's own scale.

        Raises:
            RequestError: There are not as many prompts as images.
        """
        columns = {reward.name: reward.score(images, prompts) for reward in self._rewards}
        return [{name: scores[row] for name, scores in columns.items()} for row in range(len(images))]

    def unify(self, raw: Mapping[str, float]) -> dict[str, float]:
        """Each raw score as the share of ordinary pictures below it, and the weighted mean of all as "unified".

        Args:
            raw: One of the results of `raw_scores`.
        """
        return {name: self._share_below(name, score) for name, score in raw.items()} | {self.name: self._combined(raw)}

    def _combined(self, raw: Mapping[str, float]) -> float:
        total = math.fsum(self._weights.values())
        return math.fsum(self._weights[name] * self._share_below(name, score) for name, score in raw.items()) / total

    def _share_below(self, name: str, score: float) -> float:
        scale = self._scales[name]
        z = LOGISTIC * (score - scale.mean) / scale.std
        # The two forms are equal; each is used where its exponential cannot overflow.
        return 1 / (1 + math.exp(-z)) if z >= 0 else math.exp(z) / (1 + math.exp(z))


def reward_and_parts(reward: Reward, image: Image, prompt: str) -> tuple[float, dict[str, float]]:
    """The reward of one picture, and the score of each reward that is combined in it, on its own scale."""
    if isinstance(reward, UnifiedReward):
        raw = reward.raw_scores([image], [prompt])[0]
        return reward.unify(raw)[reward.name], raw
    score = reward.score([image], [prompt])[0]
    return score, {reward.name: score}
