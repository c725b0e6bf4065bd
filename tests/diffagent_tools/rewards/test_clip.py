from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from transformers import CLIPImageProcessor

from diffagent_tools.rewards import CLIPReward, Reward
from finetune.pocket.clip import IMAGE_MEAN, IMAGE_STD, new_clip
from finetune.pocket.tokenizer import build_tokenizer
from tool_specs.exceptions import ConfigError, RequestError, WeightsError


@pytest.fixture(scope="module")
def clip_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("rewards") / "tiny"
    tokenizer = build_tokenizer(folder)
    new_clip(tokenizer, text_width=32, vision_width=32, vision_layers=1, seed=3).save_pretrained(folder)
    CLIPImageProcessor(
        size={"shortest_edge": 64}, crop_size=64, image_mean=list(IMAGE_MEAN), image_std=list(IMAGE_STD)
    ).save_pretrained(folder)
    return folder


def _picture(seed: int, size: tuple[int, int] = (64, 64)) -> Image.Image:
    return Image.fromarray(np.random.default_rng(seed).integers(0, 256, (size[1], size[0], 3), dtype=np.uint8))


def test_the_score_is_a_hundred_times_the_cosine(clip_folder: Path) -> None:
    from transformers import CLIPModel, CLIPTokenizer

    model = CLIPModel.from_pretrained(clip_folder).eval()
    tokens = CLIPTokenizer.from_pretrained(clip_folder)(["a fox on a blue background"], return_tensors="pt")
    pixels = torch.from_numpy(np.asarray(_picture(1), dtype=np.float32)).permute(2, 0, 1)[None] / 127.5 - 1
    with torch.no_grad():
        output = model(pixel_values=pixels, input_ids=tokens.input_ids)
    expected = 100 * float(torch.cosine_similarity(output.image_embeds, output.text_embeds))
    reward = CLIPReward(clip_folder, device="cpu")
    assert isinstance(reward, Reward)
    assert reward.name == "clip-tiny"
    assert reward.score([_picture(1)], ["a fox on a blue background"]) == [pytest.approx(max(expected, 0), abs=1e-3)]


def test_a_batch_scores_like_single_pictures(clip_folder: Path) -> None:
    reward = CLIPReward(clip_folder, device="cpu")
    images = [_picture(seed, size=(64, 64) if seed % 2 else (48, 80)) for seed in range(40)]
    prompts = [f"a cat on a red background {'x ' * seed}" for seed in range(40)]
    together = reward.score(images, prompts)
    alone = [reward.score([image], [prompt])[0] for image, prompt in zip(images, prompts, strict=True)]
    assert together == pytest.approx(alone, abs=1e-3)
    assert all(0 <= score <= 100 for score in together)


@pytest.mark.parametrize("mode", ["L", "RGBA", "P"])
def test_any_kind_of_picture_is_scored(clip_folder: Path, mode: str) -> None:
    reward = CLIPReward(clip_folder, device="cpu")
    assert len(reward.score([_picture(1).convert(mode)], [""])) == 1


def test_long_prompts_are_cut(clip_folder: Path) -> None:
    reward = CLIPReward(clip_folder, device="cpu")
    long = "a fox " * 300
    assert reward.score([_picture(1)], [long]) == pytest.approx(reward.score([_picture(1)], [long[:900]]), abs=1e-3)


def test_nothing_to_score_loads_nothing(tmp_path: Path) -> None:
    assert CLIPReward(tmp_path).score([], []) == []


def test_images_and_prompts_must_pair_up(clip_folder: Path) -> None:
    with pytest.raises(RequestError, match="1 images but 2 prompts"):
        CLIPReward(clip_folder).score([_picture(1)], ["a", "b"])


def test_a_folder_that_is_no_model_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"is not a transformers folder \(it has no config\.json\)"):
        CLIPReward(tmp_path, device="cpu").score([_picture(1)], ["a fox"])


def test_damaged_weights_are_named(clip_folder: Path, tmp_path: Path) -> None:
    for file in clip_folder.iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    weights = tmp_path / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1000])
    with pytest.raises(WeightsError, match=r"cannot be loaded .*; download or train it again"):
        CLIPReward(tmp_path, device="cpu").score([_picture(1)], ["a fox"])


def test_nothing_is_printed(clip_folder: Path, capfd: pytest.CaptureFixture[str]) -> None:
    CLIPReward(clip_folder, device="cpu").score([_picture(1)], ["a fox " * 100])
    assert capfd.readouterr() == ("", "")
