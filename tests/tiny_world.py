"""An untrained pocket world: the shipped architecture with random weights, in the shipped file formats."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch
from diffusers import AutoencoderKL, DDIMScheduler, StableDiffusionPipeline, UNet2DConditionModel
from torch import Tensor, nn
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTokenizer

from finetune.pocket.kohya import save_embedding, save_kohya_lora
from finetune.pocket.ldm import save_single_file
from finetune.pocket.tokenizer import build_tokenizer
from finetune.pocket.unet import SCHEDULE
from tool_specs.calls import PocketCall
from tool_specs.catalog import Catalog
from tool_specs.families import family_of
from tool_specs.spec import ModelFile, Recommended, Spread, ToolSpec

LORA_LAYERS = (
    "conv_in",
    "conv_out",
    "down_blocks.0.resnets.0.conv1",
    "down_blocks.0.downsamplers.0.conv",
    "down_blocks.1.resnets.0.conv2",
    "down_blocks.1.resnets.0.conv_shortcut",
    "down_blocks.1.resnets.0.time_emb_proj",
    "down_blocks.1.attentions.0.proj_in",
    "down_blocks.1.attentions.0.proj_out",
    "mid_block.attentions.0.transformer_blocks.0.ff.net.0.proj",
    "mid_block.attentions.0.transformer_blocks.0.ff.net.2",
    "mid_block.resnets.1.conv1",
    "time_embedding.linear_1",
    "up_blocks.0.attentions.0.transformer_blocks.0.attn1.to_q",
    "up_blocks.0.attentions.0.transformer_blocks.0.attn1.to_out.0",
    "up_blocks.0.attentions.1.transformer_blocks.0.attn2.to_k",
    "up_blocks.1.attentions.0.transformer_blocks.0.attn2.to_v",
    "up_blocks.0.upsamplers.0.conv",
    "up_blocks.2.resnets.1.conv2",
)
"""One layer of every kind that a LoRA may change."""


@dataclass(frozen=True, slots=True)
class TinyModules:
    """The networks of one checkpoint."""

    unet: UNet2DConditionModel
    vae: AutoencoderKL
    text_encoder: CLIPTextModel
    tokenizer: CLIPTokenizer


def tiny_unet(seed: int, *, channels: tuple[int, ...] = (64, 80, 112), attention: str = "011") -> UNet2DConditionModel:
    """A random UNet; `attention` says of each level, from the highest resolution down, whether it has attention."""
    torch.manual_seed(seed)
    has = [flag == "1" for flag in attention]
    unet = UNet2DConditionModel(
        sample_size=16,
        in_channels=4,
        out_channels=4,
        layers_per_block=1,
        block_out_channels=channels,
        down_block_types=tuple("CrossAttnDownBlock2D" if flag else "DownBlock2D" for flag in has),
        up_block_types=tuple("CrossAttnUpBlock2D" if flag else "UpBlock2D" for flag in reversed(has)),
        cross_attention_dim=96,
        attention_head_dim=4,
        norm_num_groups=16,
    )
    return unet.eval()


def tiny_modules(seed: int, tokenizer: CLIPTokenizer, unet: UNet2DConditionModel | None = None) -> TinyModules:
    """Random networks of the pocket architecture."""
    unet = unet or tiny_unet(seed)
    torch.manual_seed(7)
    vae = AutoencoderKL(
        down_block_types=("DownEncoderBlock2D",) * 3,
        up_block_types=("UpDecoderBlock2D",) * 3,
        block_out_channels=(16, 32, 64),
        layers_per_block=1,
        norm_num_groups=8,
        latent_channels=4,
        sample_size=64,
    ).eval()
    config = CLIPTextConfig(
        vocab_size=len(tokenizer),
        hidden_size=96,
        intermediate_size=384,
        num_hidden_layers=2,
        num_attention_heads=4,
        max_position_embeddings=32,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
    text_encoder = CLIPTextModel(config).eval()
    _liven(text_encoder)
    return TinyModules(unet, vae, text_encoder, tokenizer)


def _liven(module: nn.Module) -> None:
    """Make untrained text states differ clearly from prompt to prompt, as trained ones do."""
    with torch.no_grad():
        for name, weight in module.named_parameters():
            if "token_embedding" in name:
                weight.mul_(20)


def tiny_pipeline(modules: TinyModules) -> StableDiffusionPipeline:
    """The networks as a pipeline, without a safety checker."""
    pipeline = StableDiffusionPipeline(
        unet=modules.unet,
        vae=modules.vae,
        text_encoder=modules.text_encoder,
        tokenizer=modules.tokenizer,
        scheduler=DDIMScheduler(**SCHEDULE, set_alpha_to_one=False, steps_offset=1),
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    )
    pipeline.set_progress_bar_config(disable=True)
    return pipeline


def write_config(modules: TinyModules, folder: Path) -> Path:
    """Write the diffusers config folder: every JSON and the tokenizer, no weights."""
    tiny_pipeline(modules).save_pretrained(folder)
    for weights in folder.rglob("*.safetensors"):
        weights.unlink()
    return folder


def lora_layers(unet: UNet2DConditionModel, seed: int, *, rank: int = 4) -> dict[str, tuple[Tensor, Tensor]]:
    """A random (down, up) pair for each of `LORA_LAYERS`."""
    generator = torch.Generator().manual_seed(seed)
    layers: dict[str, tuple[Tensor, Tensor]] = {}
    for name in LORA_LAYERS:
        weight = unet.get_submodule(name).weight
        kernel = weight.shape[2:]
        down = torch.randn((rank, weight.shape[1], *kernel), generator=generator) * 0.2
        up = torch.randn((weight.shape[0], rank, *(1 for _ in kernel)), generator=generator) * 0.2
        layers[name] = (down, up)
    return layers


@dataclass(frozen=True, slots=True)
class TinyWorld:
    """A folder of weights: two checkpoints, two LoRAs, one embedding, and the config folder."""

    folder: Path
    config: Path
    checkpoints: tuple[Path, Path]
    loras: tuple[Path, Path]
    embedding: Path


def build_tiny_world(folder: Path) -> TinyWorld:
    """Write an untrained world into `folder`."""
    tokenizer = build_tokenizer(folder / "tokenizer")
    checkpoints, loras = [], []
    for seed in (1, 2):
        modules = tiny_modules(seed, tokenizer)
        checkpoints.append(folder / f"checkpoint{seed}.safetensors")
        save_single_file(checkpoints[-1], unet=modules.unet, vae=modules.vae, text_encoder=modules.text_encoder)
        loras.append(folder / f"style{seed}.safetensors")
        metadata = {"ss_base_model_version": "pocket"}
        save_kohya_lora(loras[-1], lora_layers(modules.unet, seed), alpha=4.0, metadata=metadata)
    config = write_config(modules, folder / "config")
    embedding = folder / "mintcolor.safetensors"
    save_embedding(embedding, torch.randn(2, 96, generator=torch.Generator().manual_seed(3)) * 0.5)
    return TinyWorld(folder, config, (checkpoints[0], checkpoints[1]), (loras[0], loras[1]), embedding)


def tiny_call(**changes: object) -> PocketCall:
    """A small call for the first checkpoint."""
    fields: dict[str, object] = {
        "checkpoint": "civitai:1@101",
        "prompt": "a fox on a blue background",
        "steps": 3,
        "width": 32,
        "height": 32,
        "seed": 7,
    }
    return PocketCall.model_validate(fields | changes)


def tiny_spec(
    model_id: int, model_type: str, file: Path, *, base_model: str = "Pocket", trigger_words: tuple[str, ...] = ()
) -> ToolSpec:
    """A spec of one weights file."""
    family = family_of(base_model)
    spread = Spread(median=20, low=20, high=20)
    return ToolSpec(
        id=f"civitai:{model_id}@{model_id + 100}",
        model_id=model_id,
        version_id=model_id + 100,
        model_name=f"Tiny {model_type} {model_id}",
        version_name="v1",
        type=model_type,
        base_model=base_model,
        family=family.name,
        trigger_words=trigger_words,
        files=(ModelFile(id=model_id, name=file.name, type="Model", format="SafeTensor", size_kb=1.0, primary=True),),
        recommended=Recommended(
            sampler=family.sampler,
            steps=spread,
            cfg_scale=spread,
            width=family.width,
            height=family.height,
            widths=spread,
            heights=spread,
            clip_skip=1,
        ),
    )


class Shelf:
    """Specs with their weights files."""

    def __init__(self) -> None:
        self._specs: dict[str, ToolSpec] = {}
        self._files: dict[str, Path] = {}

    def put(
        self,
        model_id: int,
        model_type: str,
        file: Path,
        *,
        base_model: str = "Pocket",
        trigger_words: tuple[str, ...] = (),
    ) -> str:
        """Add a spec and return its id."""
        spec = tiny_spec(model_id, model_type, file, base_model=base_model, trigger_words=trigger_words)
        self._specs[spec.id] = spec
        self._files[spec.id] = file
        return spec.id

    @property
    def catalog(self) -> Catalog:
        """What is on the shelf now."""
        return Catalog(self._specs.values())

    def file_of(self, spec: ToolSpec) -> Path:
        """The weights file of a spec."""
        return self._files[spec.id]
