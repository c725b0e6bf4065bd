from __future__ import annotations

from pathlib import Path

import pytest
import torch
import transformers

from diffagent_tools.rewards import ImageRewardReward, Reward
from diffagent_tools.rewards.image_reward_network import ImageRewardNetwork
from tests.diffagent_tools.rewards.conftest import PublishedWeights
from tests.diffagent_tools.rewards.pictures import clip_pixels, picture
from tool_specs.exceptions import RequestError

PROMPTS = ["a fox on a blue background", "a cat", "", "a red red red cat"]
SQUARE = (32, 32)


def test_the_score_is_that_of_the_published_network(
    published_image_reward: PublishedWeights, image_reward_folder: Path
) -> None:
    images = [picture(seed, SQUARE) for seed in range(4)]
    tokenizer = transformers.BertTokenizer.from_pretrained(published_image_reward.tokenizer)
    tokens = tokenizer(PROMPTS, padding="max_length", max_length=35, return_tensors="pt")
    with torch.no_grad():
        expected = published_image_reward.network(
            torch.cat([clip_pixels(image) for image in images]), tokens.input_ids, tokens.attention_mask
        )
    reward = ImageRewardReward(image_reward_folder, device="cpu")

    assert isinstance(reward, Reward)
    assert reward.name == "imagereward-small"
    assert reward.score(images, PROMPTS) == pytest.approx(expected.tolist(), rel=1e-4)


def test_the_head_is_five_linear_layers_and_the_rest_is_standardised(image_reward_folder: Path) -> None:
    network = ImageRewardNetwork.from_pretrained(image_reward_folder).eval()
    tokens = transformers.BertTokenizer.from_pretrained(image_reward_folder)(PROMPTS[0], return_tensors="pt")
    image = picture(1, SQUARE)
    with torch.no_grad():
        patches = network.vision_model(pixel_values=clip_pixels(image)).last_hidden_state
        states = network.text_encoder(**tokens, encoder_hidden_states=patches).last_hidden_state
        values = states[0, 0]
        for layer in network.head:
            values = layer.weight @ values + layer.bias

    assert patches.shape == (1, 17, 48)
    assert states.shape == (1, tokens.input_ids.shape[1], 36)
    assert [layer.out_features for layer in network.head] == [1024, 128, 64, 16, 1]
    expected = (float(values) - 0.16717362830052426) / 1.0333394966054072
    assert ImageRewardReward(image_reward_folder).score([image], PROMPTS[:1]) == [pytest.approx(expected, rel=1e-4)]


def test_a_batch_scores_like_single_pictures_in_their_order(image_reward_folder: Path) -> None:
    reward = ImageRewardReward(image_reward_folder, device="cpu")
    images = [picture(seed, (40, 70) if seed % 2 else SQUARE) for seed in range(36)]
    prompts = [PROMPTS[seed % 4] for seed in range(36)]
    together = reward.score(images, prompts)
    alone = [reward.score([image], [prompt])[0] for image, prompt in zip(images, prompts, strict=True)]

    assert together == pytest.approx(alone, rel=1e-3)
    assert reward.score(images[::-1], prompts[::-1]) == pytest.approx(together[::-1], rel=1e-3)
    assert together != pytest.approx(together[::-1], rel=1e-2)


def test_the_prompt_counts_up_to_its_thirty_fifth_token(image_reward_folder: Path) -> None:
    reward = ImageRewardReward(image_reward_folder, device="cpu")
    image, words = picture(1, SQUARE), ["cat"] * 33
    cut, longer = reward.score([image] * 2, [" ".join(words), " ".join([*words, "fox", "red"])])
    shorter = reward.score([image], [" ".join(words[:-1])])[0]

    assert cut == pytest.approx(longer, rel=1e-5)
    assert cut != pytest.approx(shorter, rel=1e-5)


def test_images_and_prompts_must_pair_up(image_reward_folder: Path) -> None:
    with pytest.raises(RequestError, match="2 images but 1 prompts"):
        ImageRewardReward(image_reward_folder).score([picture(1)] * 2, ["a"])
