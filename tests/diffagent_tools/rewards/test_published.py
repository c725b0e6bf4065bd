from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from diffagent_tools.rewards import HPSReward
from diffagent_tools.rewards.published import IMAGE_REWARD, OPEN_CLIP, PUBLISHED, main, make_folder, renamed
from tests.diffagent_tools.rewards.conftest import PublishedWeights
from tests.diffagent_tools.rewards.pictures import picture
from tool_specs.exceptions import ConfigError, WeightsError

UNUSED = {
    "blip.vision_proj.weight",
    "blip.vision_proj.bias",
    "blip.text_proj.weight",
    "blip.text_proj.bias",
    "blip.text_encoder.embeddings.position_ids",
}


def test_every_used_tensor_of_image_reward_is_renamed_once_and_unchanged(
    published_image_reward: PublishedWeights,
) -> None:
    published = load_file(published_image_reward.weights)
    ours = renamed(published, IMAGE_REWARD)
    expected = PUBLISHED["image-reward"].reward.network()(published_image_reward.config).state_dict()

    assert {name: tensor.shape for name, tensor in ours.items()} == {
        name: tensor.shape for name, tensor in expected.items()
    }
    assert len(ours) == len(published) - len(UNUSED)
    left = [tensor for name, tensor in published.items() if name not in UNUSED]
    assert sorted(float(tensor.sum()) for tensor in left) == sorted(float(tensor.sum()) for tensor in ours.values())
    assert renamed({name: published[name] for name in UNUSED}, IMAGE_REWARD) == {}


def test_open_clips_joint_projections_are_parted_and_its_matrices_turned(published_clip: PublishedWeights) -> None:
    published = load_file(published_clip.weights)
    ours = renamed(published, OPEN_CLIP)
    layer = "text_model.encoder.layers.1.self_attn"
    joint = torch.cat([ours[f"{layer}.{part}_proj.weight"] for part in "qkv"])

    assert torch.equal(joint, published["transformer.resblocks.1.attn.in_proj_weight"])
    assert torch.equal(ours["visual_projection.weight"], published["visual.proj"].T)
    assert torch.equal(ours["text_projection.weight"], published["text_projection"].T)


def test_copies_with_a_prefix_are_read_as_well(published_clip: PublishedWeights) -> None:
    published = load_file(published_clip.weights)
    prefixed = {f"model.{name}": tensor for name, tensor in published.items()}
    assert renamed(prefixed, OPEN_CLIP).keys() == renamed(published, OPEN_CLIP).keys()


@pytest.mark.parametrize("kind", PUBLISHED)
def test_the_published_sizes_fit_the_network(kind: str) -> None:
    published = PUBLISHED[kind]
    with torch.device("meta"):
        parameters = sum(weight.numel() for weight in published.reward.network()(published.config()).parameters())
    assert parameters == {"hps": 986_109_441, "image-reward": 446_206_689}[kind]


def test_half_precision_stays_half_on_disk_and_is_scored_in_full(
    published_clip: PublishedWeights, tmp_path: Path
) -> None:
    half = {name: tensor.half() for name, tensor in load_file(published_clip.weights).items()}
    save_file(half, tmp_path / "half.safetensors")
    folder = tmp_path / "made" / "half"
    make_folder(
        "hps", tmp_path / "half.safetensors", folder, tokenizer=published_clip.tokenizer, config=published_clip.config
    )
    full = published_clip.converted(tmp_path / "full")

    assert {tensor.dtype for tensor in load_file(folder / "model.safetensors").values()} == {torch.float16}
    scores = [HPSReward(place, device="cpu").score([picture(1)], ["a fox"])[0] for place in (folder, full)]
    assert scores[0] == pytest.approx(scores[1], abs=0.2)
    assert scores[0] != float(torch.tensor(scores[0]).half())


def test_a_folder_that_exists_is_left_alone(published_clip: PublishedWeights, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="exists already"):
        published_clip.converted(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_missing_tensors_are_named_and_nothing_is_left_behind(published_clip: PublishedWeights, tmp_path: Path) -> None:
    tensors = load_file(published_clip.weights)
    del tensors["visual.proj"]
    save_file(tensors, tmp_path / "part.safetensors")
    with pytest.raises(WeightsError, match=r"1 of \d+ tensors are missing .*such as visual_projection\.weight"):
        make_folder(
            "hps",
            tmp_path / "part.safetensors",
            tmp_path / "made",
            tokenizer=published_clip.tokenizer,
            config=published_clip.config,
        )
    assert [path.name for path in tmp_path.iterdir()] == ["part.safetensors"]


@pytest.mark.parametrize("name", ["HPS_v2.1.pt", "gone.safetensors", "text.safetensors"])
def test_files_that_are_no_safetensors_are_refused(published_clip: PublishedWeights, tmp_path: Path, name: str) -> None:
    if not name.startswith("gone"):
        (tmp_path / name).write_text("not weights")
    with pytest.raises(WeightsError, match=re.escape(name)):
        make_folder(
            "hps",
            tmp_path / name,
            tmp_path / "made",
            tokenizer=published_clip.tokenizer,
            config=published_clip.config,
        )
    assert not (tmp_path / "made").exists()


def test_a_missing_tokenizer_is_named(published_clip: PublishedWeights, tmp_path: Path) -> None:
    shutil.copy(published_clip.weights, tmp_path / "HPS.safetensors")
    with pytest.raises(WeightsError, match="words cannot be loaded"):
        make_folder(
            "hps",
            tmp_path / "HPS.safetensors",
            tmp_path / "made",
            tokenizer=tmp_path / "words",
            config=published_clip.config,
        )


def test_the_command_says_what_is_wrong(
    published_clip: PublishedWeights, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = str(published_clip.tokenizer)
    with pytest.raises(SystemExit) as stopped:
        main(["hps", str(published_clip.weights), str(tmp_path / "made"), "--tokenizer", words])

    assert stopped.value.code == 2
    assert "tensors are missing or of another shape" in capsys.readouterr().err.replace("\n", " ")
