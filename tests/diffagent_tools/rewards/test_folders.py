"""Where rewards find their weights, and what they refuse."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch
import transformers

from diffagent_tools.rewards import CLIPReward, HPSReward, ImageRewardReward, PickScoreReward
from diffagent_tools.rewards.learned import LearnedReward
from tests.diffagent_tools.rewards.conftest import PublishedWeights
from tests.diffagent_tools.rewards.pictures import picture
from tool_specs.exceptions import ConfigError, WeightsError

ROOT = Path(__file__).parents[3]
KINDS = [CLIPReward, PickScoreReward, HPSReward, ImageRewardReward]


def _score(kind: type[LearnedReward], source: Path | str) -> list[float]:
    return kind(source, device="cpu").score([picture(1)], ["a fox"])


@pytest.fixture
def copied(clip_folder: Path, image_reward_folder: Path, tmp_path: Path, kind: type[LearnedReward]) -> Path:
    """A folder of this kind of reward that a test may damage."""
    source = image_reward_folder if kind is ImageRewardReward else clip_folder
    return Path(shutil.copytree(source, tmp_path / "copied"))


@pytest.mark.parametrize("kind", KINDS)
def test_a_folder_that_is_no_model_is_named(tmp_path: Path, kind: type[LearnedReward]) -> None:
    for source in (tmp_path, tmp_path / "gone", str(tmp_path / "gone")):
        with pytest.raises(
            ConfigError, match=r"is not a transformers folder .* no config\.json, no tokenizer\.json, no pre"
        ):
            _score(kind, source)


@pytest.mark.parametrize("kind", KINDS)
def test_damaged_weights_are_named(copied: Path, kind: type[LearnedReward]) -> None:
    weights = copied / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1000])
    with pytest.raises(WeightsError, match=r"copied cannot be loaded .*; download or train it again"):
        _score(kind, copied)


@pytest.mark.parametrize("kind", KINDS)
def test_pickled_weights_are_refused_unread(copied: Path, tmp_path: Path, kind: type[LearnedReward]) -> None:
    class Trap:
        def __reduce__(self) -> tuple[object, tuple[str]]:
            return os.mkdir, (str(tmp_path / "sprung"),)

    (copied / "model.safetensors").unlink()
    torch.save({"weight": Trap()}, copied / "pytorch_model.bin")
    with pytest.raises(WeightsError, match=r"holds only pytorch_model\.bin, and a pickle can run code .*rewards\.md"):
        _score(kind, copied)
    assert not (tmp_path / "sprung").exists()


@pytest.mark.parametrize("kind", KINDS)
def test_a_folder_without_weights_is_named(copied: Path, kind: type[LearnedReward]) -> None:
    (copied / "model.safetensors").unlink()
    with pytest.raises(WeightsError, match=r"holds no weights in safetensors; it needs model\.safetensors"):
        _score(kind, copied)


@pytest.mark.parametrize("kind", KINDS)
def test_a_folder_without_its_processor_is_named(copied: Path, kind: type[LearnedReward]) -> None:
    (copied / "preprocessor_config.json").unlink()
    with pytest.raises(ConfigError, match=r"copied is not .*\(it has no preprocessor_config\.json\); add the files"):
        _score(kind, copied)


@pytest.mark.parametrize("kind", KINDS)
def test_damaged_preparers_are_named(copied: Path, kind: type[LearnedReward]) -> None:
    (copied / "preprocessor_config.json").write_text("{")
    with pytest.raises(WeightsError, match="copied cannot be loaded"):
        _score(kind, copied)


@pytest.mark.parametrize("kind", [CLIPReward])
def test_weights_under_other_names_are_not_replaced_by_chance(
    published_clip: PublishedWeights, copied: Path, kind: type[LearnedReward]
) -> None:
    shutil.copy(published_clip.weights, copied / "model.safetensors")
    with pytest.raises(WeightsError, match=r"not those of a CLIPModel: \d+ tensors are missing.*converted first"):
        _score(kind, copied)


@pytest.mark.parametrize("kind", [CLIPReward])
def test_weights_of_another_size_are_named(copied: Path, kind: type[LearnedReward]) -> None:
    config = transformers.CLIPConfig.from_pretrained(copied)
    config.vision_config.hidden_size = 64
    config.save_pretrained(copied)
    with pytest.raises(WeightsError, match="cannot be loaded"):
        _score(kind, copied)


HUB = """
import sys
from diffagent_tools.rewards.folders import find_folder
from tool_specs.exceptions import ConfigError

for source in sys.argv[1:]:
    try:
        print(find_folder(source))
    except ConfigError as error:
        print(error)
"""


def test_a_hub_id_is_taken_from_the_cache_or_named_where_there_is_no_network(clip_folder: Path, tmp_path: Path) -> None:
    model = tmp_path / "models--someone--whole"
    (model / "refs").mkdir(parents=True)
    (model / "refs" / "main").write_text("0" * 40)
    shutil.copytree(clip_folder, model / "snapshots" / ("0" * 40))

    done = subprocess.run(
        [sys.executable, "-c", HUB, "someone/whole", "someone/gone"],
        env={**os.environ, "PYTHONPATH": str(ROOT), "HF_HUB_CACHE": str(tmp_path), "HF_HUB_OFFLINE": "1"},
        capture_output=True,
        text=True,
        check=True,
        cwd=tmp_path,
    )

    found, refused = done.stdout.splitlines()
    assert Path(found) == model / "snapshots" / ("0" * 40)
    assert refused.startswith("the model 'someone/gone' is not in the hub's cache and cannot be fetched (")
    assert refused.endswith("; run `hf download someone/gone` where there is a network, or give a local folder")
    assert done.stderr == ""
