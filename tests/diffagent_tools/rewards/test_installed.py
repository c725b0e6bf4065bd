from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from PIL import Image

from diffagent_tools.rewards import Calibration, Scale
from diffagent_tools.rewards.installed import NoReward, installed_reward, rewards_in
from tool_specs.exceptions import ConfigError, RequestError

PICTURES = [Image.new("RGB", (64, 64), colour) for colour in ("red", "blue")]


@pytest.fixture
def shelf(tmp_path: Path, clip_folder: Path, hps_folder: Path) -> Path:
    """A folder with two small reward models, their calibration, and a hidden folder."""
    shutil.copytree(clip_folder, tmp_path / "clip-tiny")
    shutil.copytree(hps_folder, tmp_path / "HPS-v2.1")
    (tmp_path / ".cache").mkdir()
    scales = {name: Scale(mean=0.0, std=50.0, n=8) for name in ("clip-clip-tiny", "hps-HPS-v2.1")}
    Calibration(scales).save(tmp_path / "calibration.json")
    return tmp_path


def test_all_reward_models_of_a_folder_count(shelf: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DIFFAGENT_REWARDS", str(shelf))
    reward = installed_reward()
    assert sorted(reward.raw_scores(PICTURES[:1], ["a fox"])[0]) == ["clip-clip-tiny", "hps-HPS-v2.1"]  # type: ignore[attr-defined]
    assert all(0 <= score <= 1 for score in reward.score(PICTURES, ["a fox", "a cat"]))


def test_what_is_missing_is_said(shelf: Path, tmp_path: Path) -> None:
    (shelf / "calibration.json").unlink()
    with pytest.raises(ConfigError, match=r"calibration\.json"):
        rewards_in(shelf)
    (tmp_path / "empty").mkdir()
    with pytest.raises(ConfigError, match="holds no reward model; name its folders clip, pickscore, hps"):
        rewards_in(tmp_path / "empty")
    with pytest.raises(ConfigError, match="cannot be read"):
        rewards_in(tmp_path / "nowhere")


def calibrated(folder: Path, *names: str) -> Path:
    Calibration(dict.fromkeys(names, Scale(mean=0.0, std=1.0, n=8))).save(folder / "calibration.json")
    return folder


@pytest.mark.parametrize("name", ["ImageReward", "imagereward-v1", "image-reward", "Image_Reward"])
def test_a_folder_may_have_the_name_of_the_hub_or_of_the_reward(tmp_path: Path, name: str) -> None:
    (tmp_path / name).mkdir()
    # Weights are read when the first picture is scored; here it is enough that the folder is known.
    assert rewards_in(calibrated(tmp_path, f"imagereward-{name}")).unify({f"imagereward-{name}": 0.0})["unified"] == 0.5


def test_a_folder_whose_reward_cannot_be_told_is_refused(tmp_path: Path) -> None:
    for name in ("clip-tiny", "notes"):
        (tmp_path / name).mkdir()
    with pytest.raises(ConfigError, match=r"what reward .*notes is cannot be told; begin its name with one of clip, "):
        rewards_in(calibrated(tmp_path, "clip-clip-tiny"))


def test_folders_and_calibration_belong_together(tmp_path: Path) -> None:
    (tmp_path / "clip-tiny").mkdir()
    with pytest.raises(ConfigError, match=r"calibration\.json has hps-v2, whose folder is not in .*put it back"):
        rewards_in(calibrated(tmp_path, "clip-clip-tiny", "hps-v2"))
    (tmp_path / "PickScore_v1").mkdir()
    with pytest.raises(ConfigError, match="no calibration for pickscore-PickScore_v1; measure it"):
        rewards_in(calibrated(tmp_path, "clip-clip-tiny"))


def test_without_reward_models_every_picture_is_as_good(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DIFFAGENT_REWARDS", raising=False)
    reward = installed_reward()
    assert isinstance(reward, NoReward)
    assert reward.score(PICTURES, ["a", "b"]) == [1.0, 1.0]
    with pytest.raises(RequestError, match="2 images but 1 prompts"):
        reward.score(PICTURES, ["a"])
