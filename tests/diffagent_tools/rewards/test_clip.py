from __future__ import annotations

import shutil
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import torch
import transformers
from PIL import Image

from diffagent_tools.rewards import CLIPReward, HPSReward, PickScoreReward, Reward
from diffagent_tools.rewards.learned import LearnedReward
from tests.diffagent_tools.rewards.conftest import PublishedWeights
from tests.diffagent_tools.rewards.pictures import clip_pixels, picture
from tool_specs.exceptions import RequestError, WeightsError

KINDS = [CLIPReward, PickScoreReward, HPSReward]
PROMPT = "a fox on a blue background"


@pytest.mark.parametrize(
    ("kind", "name", "formula"),
    [
        (CLIPReward, "clip-tiny", lambda cosine, scale: max(100 * cosine, 0)),
        (PickScoreReward, "pickscore-tiny", lambda cosine, scale: np.exp(scale) * cosine),
        (HPSReward, "hps-tiny", lambda cosine, scale: 100 * cosine),
    ],
)
def test_the_score_is_its_formula_of_the_embeddings(
    clip_folder: Path, kind: type[LearnedReward], name: str, formula: Callable[[float, float], float]
) -> None:
    model = transformers.CLIPModel.from_pretrained(clip_folder).eval()
    tokens = transformers.CLIPTokenizer.from_pretrained(clip_folder)([PROMPT], return_tensors="pt")
    images = [picture(seed) for seed in range(6)]
    expected = []
    for image in images:
        pixels = torch.from_numpy(np.asarray(image, dtype=np.float32)).permute(2, 0, 1)[None] / 127.5 - 1
        with torch.no_grad():
            output = model(pixel_values=pixels, input_ids=tokens.input_ids)
        seen, read = output.image_embeds[0].double(), output.text_embeds[0].double()
        cosine = float(seen @ read / (seen.norm() * read.norm()))
        expected.append(formula(cosine, model.logit_scale.item()))
    reward = kind(clip_folder, device="cpu")

    assert isinstance(reward, Reward)
    assert reward.name == name
    assert reward.score(images, [PROMPT] * 6) == pytest.approx(expected, abs=1e-3)


@pytest.mark.parametrize("kind", KINDS)
def test_a_batch_scores_like_single_pictures_in_their_order(clip_folder: Path, kind: type[LearnedReward]) -> None:
    reward = kind(clip_folder, device="cpu")
    images = [picture(seed, size=(64, 64) if seed % 2 else (48, 80)) for seed in range(40)]
    prompts = [f"a cat on a red background {'x ' * seed}" for seed in range(40)]
    together = reward.score(images, prompts)
    alone = [reward.score([image], [prompt])[0] for image, prompt in zip(images, prompts, strict=True)]

    assert together == pytest.approx(alone, abs=1e-3)
    assert together != pytest.approx(together[::-1], abs=1e-2)
    assert reward.score(images[::-1], prompts[::-1]) == pytest.approx(together[::-1], abs=1e-3)


def test_the_clip_score_is_never_below_zero_and_the_others_may_be(clip_folder: Path) -> None:
    images, prompts = [picture(seed) for seed in range(20)], ["a fox", "a blue cat"] * 10
    clip = CLIPReward(clip_folder, device="cpu").score(images, prompts)
    hps = HPSReward(clip_folder, device="cpu").score(images, prompts)

    assert clip == pytest.approx([max(score, 0) for score in hps], abs=1e-3)
    assert all(0 <= score <= 100 for score in clip)


def test_hps_sees_the_whole_picture_where_the_others_see_its_middle(clip_folder: Path) -> None:
    wide = Image.new("RGB", (128, 64))
    wide.paste(picture(1), (32, 0))
    other_ends = wide.copy()
    other_ends.paste(picture(2, (16, 64)), (0, 0))
    small = Image.new("RGB", (64, 64))
    small.paste(wide.resize((64, 32), Image.Resampling.BICUBIC), (0, 16))
    prompts = [PROMPT] * 3
    middle = PickScoreReward(clip_folder, device="cpu").score([wide, other_ends, picture(1)], prompts)
    whole = HPSReward(clip_folder, device="cpu").score([wide, other_ends, small], prompts)

    assert middle[0] == pytest.approx(middle[1], abs=1e-4) == pytest.approx(middle[2], abs=1e-4)
    assert whole[0] == pytest.approx(whole[2], abs=1e-4)
    assert whole[0] != pytest.approx(whole[1], abs=1e-3)


@pytest.mark.parametrize("mode", ["L", "RGBA", "P"])
def test_any_kind_of_picture_is_scored(clip_folder: Path, mode: str) -> None:
    reward = CLIPReward(clip_folder, device="cpu")
    assert len(reward.score([picture(1).convert(mode)], [""])) == 1


def test_long_prompts_are_cut(clip_folder: Path) -> None:
    reward = CLIPReward(clip_folder, device="cpu")
    long = "a fox " * 300
    assert reward.score([picture(1)], [long]) == pytest.approx(reward.score([picture(1)], [long[:900]]), abs=1e-3)


def test_threads_share_a_reward(clip_folder: Path) -> None:
    reward = PickScoreReward(clip_folder, device="cpu")
    images = [picture(seed) for seed in range(8)]
    with ThreadPoolExecutor(4) as pool:
        scores = list(pool.map(lambda image: reward.score([image], [PROMPT])[0], images))
    assert scores == pytest.approx(reward.score(images, [PROMPT] * 8), abs=1e-3)


@pytest.mark.parametrize("kind", KINDS)
def test_images_and_prompts_must_pair_up(clip_folder: Path, kind: type[LearnedReward]) -> None:
    with pytest.raises(RequestError, match="1 images but 2 prompts"):
        kind(clip_folder).score([picture(1)], ["a", "b"])


@pytest.mark.parametrize("kind", KINDS)
def test_nothing_to_score_loads_nothing(tmp_path: Path, kind: type[LearnedReward]) -> None:
    assert kind(tmp_path).score([], []) == []


def test_names_tell_weights_apart_wherever_they_lie(clip_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert CLIPReward().name == "clip-pocket"
    assert PickScoreReward("yuvalkirstain/PickScore_v1").name == "pickscore-PickScore_v1"
    assert PickScoreReward(str(clip_folder)).name == PickScoreReward(clip_folder).name == "pickscore-tiny"
    monkeypatch.chdir(clip_folder)
    assert PickScoreReward(Path()).name == "pickscore-tiny"


def test_the_published_names_of_open_clip_are_read(published_clip: PublishedWeights, hps_folder: Path) -> None:
    prompts = [PROMPT, "a cup"]
    images = [picture(seed, (32, 32)) for seed in (5, 6)]
    tokenizer = transformers.CLIPTokenizer.from_pretrained(published_clip.tokenizer)
    tokens = tokenizer(prompts, padding="max_length", max_length=32, return_tensors="pt").input_ids
    ends = torch.tensor([len(tokenizer(prompt).input_ids) - 1 for prompt in prompts])
    with torch.no_grad():
        cosines = published_clip.network(torch.cat([clip_pixels(image) for image in images]), tokens, ends)
    reward = HPSReward(hps_folder, device="cpu")

    assert reward.name == "hps-hps-small"
    assert reward.score(images, prompts) == pytest.approx((100 * cosines).tolist(), abs=1e-3)
    scale = published_clip.network.logit_scale.exp().item()
    assert PickScoreReward(hps_folder).score(images, prompts) == pytest.approx((scale * cosines).tolist(), abs=1e-3)


def test_scores_that_are_not_numbers_are_refused(clip_folder: Path, tmp_path: Path) -> None:
    model = transformers.CLIPModel.from_pretrained(clip_folder)
    with torch.no_grad():
        model.visual_projection.weight[0, 0] = torch.nan
    for file in clip_folder.iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    model.save_pretrained(tmp_path)
    with pytest.raises(WeightsError, match=r"'pickscore-.*' gives scores that are not numbers"):
        PickScoreReward(tmp_path, device="cpu").score([picture(1)], ["a fox"])


def test_nothing_is_printed(clip_folder: Path, capfd: pytest.CaptureFixture[str]) -> None:
    CLIPReward(clip_folder, device="cpu").score([picture(1)], ["a fox " * 100])
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("changed", ["model.safetensors", "preprocessor_config.json", "tokenizer.json"])
def test_other_files_in_the_folder_are_another_reward(clip_folder: Path, tmp_path: Path, changed: str) -> None:
    folder = tmp_path / clip_folder.name
    shutil.copytree(clip_folder, folder)
    same = CLIPReward(folder)
    assert same.identity == CLIPReward(clip_folder).identity
    (folder / changed).write_bytes((folder / changed).read_bytes() + b" ")
    other = CLIPReward(folder)
    assert (other.name, other.identity == same.identity) == (same.name, False)
