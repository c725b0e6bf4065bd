from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pytest
import torch
import transformers
from safetensors.torch import save_file

from diffagent_tools.rewards.published import make_folder
from finetune.pocket.clip import IMAGE_MEAN, IMAGE_STD, new_clip
from finetune.pocket.tokenizer import CONTEXT, build_tokenizer
from tests.diffagent_tools.rewards.plain_networks import OpenCLIP, PublishedImageReward, shaken

SIZE, PATCH = 32, 8


@pytest.fixture(scope="session")
def clip_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small untrained CLIP for 64×64 pictures."""
    folder = tmp_path_factory.mktemp("rewards") / "tiny"
    tokenizer = build_tokenizer(folder)
    new_clip(tokenizer, text_width=32, vision_width=32, vision_layers=1, seed=3).save_pretrained(folder)
    transformers.CLIPImageProcessor(
        size={"shortest_edge": 64}, crop_size=64, image_mean=list(IMAGE_MEAN), image_std=list(IMAGE_STD)
    ).save_pretrained(folder)
    return folder


@dataclass(frozen=True)
class PublishedWeights:
    """Weights under their authors' names, and what is needed to make a folder of them."""

    kind: str
    network: torch.nn.Module
    weights: Path
    tokenizer: Path
    config: transformers.PreTrainedConfig

    def converted(self, folder: Path) -> Path:
        """The folder of them."""
        make_folder(self.kind, self.weights, folder, tokenizer=self.tokenizer, config=self.config)
        return folder


@pytest.fixture(scope="session")
def published_clip(tmp_path_factory: pytest.TempPathFactory) -> PublishedWeights:
    folder = tmp_path_factory.mktemp("published_clip")
    tokenizer = build_tokenizer(folder)
    network = shaken(OpenCLIP(vocabulary=len(tokenizer), context=CONTEXT, size=SIZE, patch=PATCH, out=24), seed=1)
    save_file(network.state_dict(), folder / "HPS.safetensors")
    shared = {"hidden_act": "gelu", "projection_dim": 24}
    tokens = {"vocab_size": len(tokenizer), "max_position_embeddings": CONTEXT}
    ends = {"bos_token_id": tokenizer.bos_token_id, "eos_token_id": tokenizer.eos_token_id, "pad_token_id": None}
    text = {"hidden_size": 32, "intermediate_size": 128, "num_hidden_layers": 3, "num_attention_heads": 4}
    vision = {"hidden_size": 40, "intermediate_size": 160, "num_hidden_layers": 2, "num_attention_heads": 2}
    config = transformers.CLIPConfig(
        text_config=text | shared | tokens | ends,
        vision_config=vision | shared | {"image_size": SIZE, "patch_size": PATCH},
        projection_dim=24,
    )
    return PublishedWeights("hps", network, folder / "HPS.safetensors", folder, config)


@pytest.fixture(scope="session")
def published_image_reward(tmp_path_factory: pytest.TempPathFactory) -> PublishedWeights:
    folder = tmp_path_factory.mktemp("published_image_reward")
    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "a", "on", "cat", "fox", "red", "blue", "background"]
    transformers.BertTokenizer(vocab={word: number for number, word in enumerate(words)}).save_pretrained(folder)
    network = shaken(PublishedImageReward(vocabulary=len(words), size=SIZE, patch=PATCH), seed=2)
    save_file(network.state_dict(), folder / "ImageReward.safetensors")
    text = {"hidden_size": 36, "intermediate_size": 72, "num_hidden_layers": 2, "num_attention_heads": 3}
    ends = {"bos_token_id": None, "eos_token_id": None, "sep_token_id": 3}
    vision = {"hidden_size": 48, "intermediate_size": 192, "num_hidden_layers": 2, "num_attention_heads": 4}
    config = transformers.BlipConfig(
        text_config=text | ends | {"vocab_size": len(words), "max_position_embeddings": 64},
        vision_config=vision | {"image_size": SIZE, "patch_size": PATCH, "layer_norm_eps": 1e-6},
    )
    return PublishedWeights("image-reward", network, folder / "ImageReward.safetensors", folder, config)


@pytest.fixture(scope="session")
def hps_folder(published_clip: PublishedWeights, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return published_clip.converted(tmp_path_factory.mktemp("hps") / "hps-small")


@pytest.fixture(scope="session")
def image_reward_folder(published_image_reward: PublishedWeights, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return published_image_reward.converted(tmp_path_factory.mktemp("image_reward") / "small")
