r"""Folders of reward weights that their authors publish under names of their own.

    python -m diffagent_tools.rewards.published hps HPS_v2.1.safetensors weights/hps-v2.1 --tokenizer FOLDER
    python -m diffagent_tools.rewards.published image-reward ImageReward.safetensors weights/image-reward \
        --tokenizer FOLDER

Both files are published as pickles, which this project does not read; `docs/rewards.md` says how to make safetensors of
them. The tokenizer is a local folder: that of any CLIP model for HPS, that of bert-base-uncased for ImageReward.
"""

from __future__ import annotations

import argparse
import re
import secrets
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from rich.console import Console

from diffagent_tools.devices import quiet_libraries, require
from diffagent_tools.rewards.clip import HPSReward
from diffagent_tools.rewards.folders import read
from diffagent_tools.rewards.image_reward import ImageRewardReward
from diffagent_tools.rewards.learned import LearnedReward
from tool_specs.exceptions import ConfigError, DiffAgentError, WeightsError

if TYPE_CHECKING:
    from torch import Tensor
    from transformers import PreTrainedConfig


@dataclass(frozen=True, slots=True)
class Rename:
    """What becomes of a published tensor.

    Attributes:
        published: Pattern of its name.
        names: What it is called here; it is cut into as many equal parts along its first axis.
        transposed: Whether its axes are swapped.
    """

    published: str
    names: tuple[str, ...]
    transposed: bool = False


def _clip_tower(here: str, published: str) -> tuple[Rename, ...]:
    """The layers of one encoder of open_clip as those of a `CLIPModel`."""
    block = rf"{published}transformer\.resblocks\.(\d+)\."
    layer = rf"{here}.encoder.layers.\1."
    return (
        Rename(
            block + r"attn\.in_proj_(weight|bias)",
            tuple(rf"{layer}self_attn.{part}_proj.\2" for part in ("q", "k", "v")),
        ),
        Rename(block + r"attn\.out_proj\.(weight|bias)", (layer + r"self_attn.out_proj.\2",)),
        Rename(block + r"ln_([12])\.(weight|bias)", (layer + r"layer_norm\2.\3",)),
        Rename(block + r"mlp\.c_fc\.(weight|bias)", (layer + r"mlp.fc1.\2",)),
        Rename(block + r"mlp\.c_proj\.(weight|bias)", (layer + r"mlp.fc2.\2",)),
    )


OPEN_CLIP: Final = (
    Rename(r"logit_scale", ("logit_scale",)),
    Rename(r"token_embedding\.weight", ("text_model.embeddings.token_embedding.weight",)),
    Rename(r"positional_embedding", ("text_model.embeddings.position_embedding.weight",)),
    Rename(r"ln_final\.(weight|bias)", (r"text_model.final_layer_norm.\1",)),
    Rename(r"text_projection", ("text_projection.weight",), transposed=True),
    Rename(r"visual\.class_embedding", ("vision_model.embeddings.class_embedding",)),
    Rename(r"visual\.positional_embedding", ("vision_model.embeddings.position_embedding.weight",)),
    Rename(r"visual\.conv1\.weight", ("vision_model.embeddings.patch_embedding.weight",)),
    Rename(r"visual\.ln_pre\.(weight|bias)", (r"vision_model.pre_layrnorm.\1",)),
    Rename(r"visual\.ln_post\.(weight|bias)", (r"vision_model.post_layernorm.\1",)),
    Rename(r"visual\.proj", ("visual_projection.weight",), transposed=True),
    *_clip_tower("text_model", ""),
    *_clip_tower("vision_model", r"visual\."),
)
"""The names of open_clip, which HPS is published with; imscore's copies have "model." before each, which is cut off."""

_VISION = r"blip\.visual_encoder\."
_BLOCK = _VISION + r"blocks\.(\d+)\."
_LAYER = r"vision_model.encoder.layers.\1."
IMAGE_REWARD: Final = (
    Rename(_VISION + r"cls_token", ("vision_model.embeddings.class_embedding",)),
    Rename(_VISION + r"pos_embed", ("vision_model.embeddings.position_embedding",)),
    Rename(_VISION + r"patch_embed\.proj\.(weight|bias)", (r"vision_model.embeddings.patch_embedding.\1",)),
    Rename(_VISION + r"norm\.(weight|bias)", (r"vision_model.post_layernorm.\1",)),
    Rename(_BLOCK + r"norm([12])\.(weight|bias)", (_LAYER + r"layer_norm\2.\3",)),
    Rename(_BLOCK + r"attn\.qkv\.(weight|bias)", (_LAYER + r"self_attn.qkv.\2",)),
    Rename(_BLOCK + r"attn\.proj\.(weight|bias)", (_LAYER + r"self_attn.projection.\2",)),
    Rename(_BLOCK + r"mlp\.(fc[12])\.(weight|bias)", (_LAYER + r"mlp.\2.\3",)),
    Rename(r"blip\.(text_encoder\..+\.(?:weight|bias))", (r"\1",)),
    # The authors' sequence has dropout at 1, 3 and 5.
    *(
        Rename(rf"mlp\.layers\.{theirs}\.(weight|bias)", (rf"head.{ours}.\1",))
        for ours, theirs in enumerate((0, 2, 4, 6, 7))
    ),
)
"""The names of the `image-reward` package."""


@dataclass(frozen=True, slots=True)
class Published:
    """A kind of published weights: how its tensors are renamed, who uses them, and the sizes of the network."""

    renames: tuple[Rename, ...]
    reward: type[LearnedReward]
    config: Callable[[], PreTrainedConfig]


def _clip_huge() -> PreTrainedConfig:
    """ViT-H/14, as `laion/CLIP-ViT-H-14-laion2B-s32B-b79K` describes it."""
    import transformers

    text = {"hidden_size": 1024, "intermediate_size": 4096, "num_hidden_layers": 24, "num_attention_heads": 16}
    vision = {"hidden_size": 1280, "intermediate_size": 5120, "num_hidden_layers": 32, "num_attention_heads": 16}
    shared = {"hidden_act": "gelu", "projection_dim": 1024}
    return transformers.CLIPConfig(
        text_config=text | shared, vision_config=vision | shared | {"patch_size": 14}, projection_dim=1024
    )


def _blip_large() -> PreTrainedConfig:
    """BLIP with ViT-L/16 at 224 pixels and BERT base, as the `image-reward` package builds it."""
    import transformers

    vision = {"hidden_size": 1024, "intermediate_size": 4096, "num_hidden_layers": 24, "num_attention_heads": 16}
    return transformers.BlipConfig(
        text_config={"num_attention_heads": 12},
        vision_config=vision | {"image_size": 224, "patch_size": 16, "layer_norm_eps": 1e-6},
    )


PUBLISHED: Final[Mapping[str, Published]] = {
    "hps": Published(OPEN_CLIP, HPSReward, _clip_huge),
    "image-reward": Published(IMAGE_REWARD, ImageRewardReward, _blip_large),
}


def renamed(tensors: Mapping[str, Tensor], renames: tuple[Rename, ...]) -> dict[str, Tensor]:
    """Tensors under the names of transformers; those that no rename speaks of are left out."""
    result: dict[str, Tensor] = {}
    for name, tensor in tensors.items():
        for rename in renames:
            if match := re.fullmatch(rename.published, name.removeprefix("model.")):
                whole = tensor.T if rename.transposed else tensor
                parts = whole.chunk(len(rename.names)) if len(rename.names) > 1 else (whole,)
                result |= {match.expand(new): part.contiguous() for new, part in zip(rename.names, parts, strict=True)}
                break
    return result


def make_folder(
    kind: str, weights: Path, folder: Path, *, tokenizer: Path, config: PreTrainedConfig | None = None
) -> None:
    """Make a folder that `HPSReward` or `ImageRewardReward` loads.

    Args:
        kind: A key of `PUBLISHED`.
        weights: The published weights as safetensors.
        folder: What is made; it must not exist. It appears when it is complete.
        tokenizer: A local folder with the tokenizer of the text encoder.
        config: Sizes of the network, by default those of the published one.

    Raises:
        ConfigError: The folder exists already.
        WeightsError: The weights or the tokenizer cannot be read, or the weights are of another network.
    """
    require("torch", "transformers", "diffusers")
    if folder.exists():
        msg = f"{folder} exists already; name a folder that does not, or remove it"
        raise ConfigError(msg)
    if weights.suffix != ".safetensors":
        msg = f"{weights} is not a .safetensors file; docs/rewards.md says how to convert a pickle"
        raise WeightsError(msg)
    published = PUBLISHED[kind]
    partial = folder.with_name(f".{folder.name}.{secrets.token_hex(4)}.part")
    partial.mkdir(parents=True)
    try:
        _fill(partial, published, weights, tokenizer, config or published.config())
        partial.replace(folder)
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def _fill(folder: Path, published: Published, weights: Path, tokenizer: Path, config: PreTrainedConfig) -> None:
    import torch
    import transformers
    from safetensors.torch import load_file, save_file

    tensors = renamed(read(lambda: load_file(weights), weights), published.renames)
    with torch.device("meta"):
        expected = published.reward.network()(config).state_dict()
    wrong = [name for name, place in expected.items() if name not in tensors or tensors[name].shape != place.shape]
    if wrong:
        msg = (
            f"{weights} does not hold the published weights: {len(wrong)} of {len(expected)} tensors are missing or of "
            f"another shape, such as {wrong[0]}; download it again"
        )
        raise WeightsError(msg)
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    words = read(lambda: transformers.AutoTokenizer.from_pretrained(tokenizer, local_files_only=True), tokenizer)
    words.save_pretrained(folder)
    size = config.vision_config.image_size
    with quiet_libraries():
        transformers.CLIPImageProcessorPil(size={"shortest_edge": size}, crop_size=size).save_pretrained(folder)
        config.save_pretrained(folder)


def main(arguments: Sequence[str] | None = None) -> None:
    """Entry point; without `arguments` those of the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("kind", choices=sorted(PUBLISHED))
    parser.add_argument("weights", type=Path, help="the published weights as a .safetensors file")
    parser.add_argument("folder", type=Path, help="the folder to make")
    parser.add_argument("--tokenizer", type=Path, required=True, help="a local folder with the tokenizer")
    given = parser.parse_args(arguments)
    try:
        with Console(stderr=True).status(f"writing {given.folder}"):
            make_folder(given.kind, given.weights, given.folder, tokenizer=given.tokenizer)
    except DiffAgentError as error:
        parser.error(str(error))


if __name__ == "__main__":
    main()
