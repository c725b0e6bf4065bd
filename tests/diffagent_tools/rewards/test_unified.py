from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from diffagent_tools.rewards import (
    Calibration,
    CLIPReward,
    HPSReward,
    ImageRewardReward,
    PickScoreReward,
    Reward,
    Scale,
    UnifiedReward,
    calibrate,
    calibrate_all,
)
from diffagent_tools.rewards.protocol import identity_of
from tests.diffagent_tools.rewards.pictures import picture
from tool_specs.exceptions import ConfigError, RequestError


class Brightness:
    """Mean value of a picture, 0 to 255: a reward whose scores are known."""

    name = "brightness"

    def score(self, images: Sequence[Image.Image], prompts: Sequence[str]) -> list[float]:
        return [float(np.asarray(image.convert("L")).mean()) for image in images]


class Redness:
    """Mean of the red channel from 0 to 1."""

    name = "redness"

    def score(self, images: Sequence[Image.Image], prompts: Sequence[str]) -> list[float]:
        return [float(np.asarray(image.convert("RGB"))[..., 0].mean()) / 255 for image in images]


def _grey(value: int) -> Image.Image:
    return Image.new("RGB", (4, 4), (value, value, value))


CALIBRATION = Calibration({"brightness": Scale(100.0, 20.0, 50), "redness": Scale(0.5, 0.1, 50)})


def test_an_ordinary_picture_scores_one_half() -> None:
    reward = UnifiedReward([Brightness()], CALIBRATION)
    assert isinstance(reward, Reward)
    assert reward.score([_grey(100)], ["a cat"]) == [0.5]


def test_what_changes_a_score_changes_its_identity(clip_folder: Path) -> None:
    def told(scale: Scale, weight: float = 1.0, *others: Reward) -> str:
        calibration = Calibration(
            {"brightness": scale, "redness": Scale(0.5, 0.1, 50), "clip-tiny": Scale(1.0, 1.0, 9)}
        )
        return identity_of(UnifiedReward([Brightness(), *others], calibration, weights={"brightness": weight}))

    first = told(Scale(100.0, 20.0, 50))
    assert first == told(Scale(100.0, 20.0, 50))
    changed = [told(Scale(101.0, 20.0, 50)), told(Scale(100.0, 21.0, 50)), told(Scale(100.0, 20.0, 50), 2.0)]
    more = [told(Scale(100.0, 20.0, 50), 1.0, one) for one in (Redness(), CLIPReward(clip_folder))]
    assert len({first, *changed, *more}) == 6
    assert identity_of(Brightness()) == "brightness"


def test_the_score_is_about_the_share_of_ordinary_pictures_below() -> None:
    reward = UnifiedReward([Brightness()], CALIBRATION)
    for value in range(20, 200, 20):
        share = 0.5 * (1 + math.erf((value - 100) / 20 / math.sqrt(2)))
        assert reward.score([_grey(value)], ["a cat"])[0] == pytest.approx(share, abs=0.0096)


def test_the_mean_is_weighted_and_the_parts_are_shown() -> None:
    images, prompts = [_grey(120), Image.new("RGB", (4, 4), (255, 0, 0))], ["a cat", "a dog"]
    reward = UnifiedReward([Brightness(), Redness()], CALIBRATION, weights={"redness": 3.0})
    raw = reward.raw_scores(images, prompts)
    assert raw[0] == {"brightness": pytest.approx(120), "redness": pytest.approx(120 / 255)}
    parts = [reward.unify(row) for row in raw]
    for part, score in zip(parts, reward.score(images, prompts), strict=True):
        assert part["unified"] == score == pytest.approx((part["brightness"] + 3 * part["redness"]) / 4)
        assert 0 < score < 1


def test_extreme_scores_stay_between_zero_and_one() -> None:
    reward = UnifiedReward([Brightness()], Calibration({"brightness": Scale(0.0, 1e-3, 9)}))
    assert reward.unify({"brightness": 1e9})["unified"] == 1
    assert reward.unify({"brightness": -1e9})["unified"] == 0


def test_a_calibration_is_measured_saved_and_loaded(tmp_path: Path) -> None:
    values = [10, 40, 60, 80, 90, 120, 140, 200]
    measured = calibrate(Brightness(), [_grey(value) for value in values], ["a cat"] * 8)
    scale = measured.scales["brightness"]
    assert scale.n == 8
    assert scale.mean == pytest.approx(np.mean(values))
    assert scale.std == pytest.approx(np.std(values, ddof=1))
    path = tmp_path / "calibration.json"
    both = measured.merged(Calibration({"redness": Scale(0.5, 0.1, 50)}))
    both.save(path)
    assert Calibration.load(path).scales == both.scales


def test_too_few_and_equal_pictures_cannot_calibrate() -> None:
    with pytest.raises(RequestError, match="7 pictures are too few to calibrate 'brightness'"):
        calibrate(Brightness(), [_grey(value) for value in range(7)], ["a cat"] * 7)
    with pytest.raises(RequestError, match="'brightness' scores every calibration picture 9"):
        calibrate(Brightness(), [_grey(9)] * 8, ["a cat"] * 8)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        '{"a": 3}',
        '{"a": {"mean": 1, "std": 0, "n": 9}}',
        '{"a": {"mean": NaN, "std": 1, "n": 9}}',
        '{"a": {}}',
    ],
)
def test_a_damaged_calibration_is_named(tmp_path: Path, text: str) -> None:
    path = tmp_path / "calibration.json"
    path.write_text(text)
    with pytest.raises(ConfigError, match=r"calibration.*calibrat"):
        Calibration.load(path)


def test_a_missing_calibration_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"gone\.json cannot be read"):
        Calibration.load(tmp_path / "gone.json")


@pytest.mark.parametrize(
    ("rewards", "weights", "message"),
    [
        ([], None, "at least one reward"),
        ([Brightness(), Brightness()], None, "different names"),
        ([Brightness()], {"redness": 1.0}, "do not fit"),
        ([Brightness()], {"brightness": -1.0}, "do not fit"),
        ([Brightness()], {"brightness": 0.0}, "do not fit"),
        ([Brightness()], {"brightness": math.nan}, "do not fit"),
    ],
)
def test_combinations_that_make_no_sense_are_refused(
    rewards: list[Reward], weights: dict[str, float] | None, message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        UnifiedReward(rewards, CALIBRATION, weights=weights)


def test_a_reward_without_a_scale_is_refused() -> None:
    with pytest.raises(ConfigError, match="no calibration for brightness; measure it with calibrate_all"):
        UnifiedReward([Brightness(), Redness()], Calibration({"redness": Scale(0.5, 0.1, 50)}))


class Scaled:
    """Another reward times a factor."""

    def __init__(self, reward: Reward, factor: float) -> None:
        self._reward = reward
        self._factor = factor

    @property
    def name(self) -> str:
        return self._reward.name

    def score(self, images: Sequence[Image.Image], prompts: Sequence[str]) -> list[float]:
        return [self._factor * score for score in self._reward.score(images, prompts)]


@pytest.fixture(scope="module")
def four_rewards(clip_folder: Path, hps_folder: Path, image_reward_folder: Path) -> list[Reward]:
    return [
        CLIPReward(clip_folder, device="cpu"),
        PickScoreReward(hps_folder, device="cpu"),
        HPSReward(clip_folder, device="cpu"),
        ImageRewardReward(image_reward_folder, device="cpu"),
    ]


@pytest.mark.parametrize("loud", range(4))
def test_no_reward_dominates_by_its_scale(four_rewards: list[Reward], loud: int) -> None:
    images, prompts = [picture(seed) for seed in range(24)], ["a fox", "a cat on a red background"] * 12
    ordinary, judged = slice(0, 16), slice(12, 24)
    louder = [Scaled(reward, 1000.0) if place == loud else reward for place, reward in enumerate(four_rewards)]

    def scored(rewards: list[Reward]) -> tuple[list[float], list[float]]:
        calibration = calibrate_all(rewards, images[ordinary], prompts[ordinary])
        unified = UnifiedReward(rewards, calibration)
        raw = unified.raw_scores(images[judged], prompts[judged])
        return unified.score(images[judged], prompts[judged]), [sum(row.values()) for row in raw]

    fair, sums = scored(four_rewards)
    still_fair, louder_sums = scored(louder)
    assert still_fair == pytest.approx(fair, abs=1e-6)
    assert np.argsort(still_fair).tolist() == np.argsort(fair).tolist()
    assert all(0 < score < 1 for score in fair)
    if loud < 3:  # the untrained ImageReward is the loudest as it is
        assert np.argsort(louder_sums).tolist() != np.argsort(sums).tolist()


def test_several_rewards_are_calibrated_at_once() -> None:
    images = [_grey(value) for value in range(0, 160, 20)]
    both = calibrate_all([Brightness(), Redness()], images, ["a cat"] * 8)
    assert both.scales["brightness"] == calibrate(Brightness(), images, ["a cat"] * 8).scales["brightness"]
    assert both.scales["redness"].mean == pytest.approx(70 / 255)
    with pytest.raises(RequestError, match="'redness' scores every"):
        calibrate_all([Brightness(), Redness()], [Image.new("RGB", (4, 4), (9, v, v)) for v in range(8)], ["a"] * 8)
