from __future__ import annotations

from pathlib import Path

import diffusers
import pytest
import torch
import transformers
from transformers import CLIPTokenizer

from tests.tiny_world import Shelf
from tool_specs.configs import CONFIGS_DIR, config_of
from tool_specs.pocket import pocket_config

PARAMETERS = {
    "sd15/unet": 859_520_964,
    "sd15/vae": 83_653_863,
    "sd15/text_encoder": 123_060_480,
    "sd2/unet": 865_910_724,
    "sd2/vae": 83_653_863,
    "sd2/text_encoder": 340_387_840,
    "sdxl/unet": 2_567_463_684,
    "sdxl/vae": 83_653_863,
    "sdxl/text_encoder": 123_060_480,
    "sdxl/text_encoder_2": 694_659_840,
}
"""Sizes of the published models, which is what any wrong number in a configuration would change."""


@pytest.mark.parametrize("part", PARAMETERS)
def test_a_configuration_builds_a_network_of_the_published_size(part: str) -> None:
    family, name = part.split("/")
    library, kind = diffusers.DiffusionPipeline.load_config(CONFIGS_DIR / family)[name]
    cls = getattr({"diffusers": diffusers, "transformers": transformers}[library], kind)
    with torch.device("meta"):
        if library == "diffusers":
            network = cls.from_config(cls.load_config(CONFIGS_DIR / part))
        else:
            network = cls(transformers.CLIPTextConfig.from_pretrained(CONFIGS_DIR / part))
    assert sum(weight.numel() for weight in network.parameters()) == PARAMETERS[part]


@pytest.mark.parametrize(
    ("folder", "padding"), [("sd15/tokenizer", 49407), ("sdxl/tokenizer", 49407), ("sd2/tokenizer", 0)]
)
def test_the_tokenizer_is_that_of_clip(folder: str, padding: int) -> None:
    tokenizer = CLIPTokenizer.from_pretrained(CONFIGS_DIR / folder)
    tokens = tokenizer("a photo of a cat", padding="max_length").input_ids
    assert tokens == [49406, 320, 1125, 539, 320, 2368, 49407, *[padding] * 70]
    assert len(tokenizer) == 49408


def test_what_ships_is_used_and_the_rest_is_named(tmp_path: Path) -> None:
    shelf = Shelf()
    labels = ("SD 1.5", "SD 2.1 768", "Pony", "Flux.1 S", "ZImageBase", "Pocket")
    for n, label in enumerate(labels, 1):
        (tmp_path / f"{n}.safetensors").write_bytes(b"")
        shelf.put(n, "Checkpoint", tmp_path / f"{n}.safetensors", base_model=label)
    assert [config_of(spec) for spec in shelf.catalog] == [
        CONFIGS_DIR / "sd15",
        CONFIGS_DIR / "sd2",
        CONFIGS_DIR / "sdxl",
        "black-forest-labs/FLUX.1-schnell",
        "Tongyi-MAI/Z-Image",
        pocket_config(),
    ]
