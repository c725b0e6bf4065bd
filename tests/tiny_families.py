"""Untrained pipelines of the real architectures, a few channels wide, with their single files and config folders."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from diffusers import (
    AutoencoderKL,
    DDIMScheduler,
    DPMSolverMultistepScheduler,
    StableDiffusionPipeline,
    StableDiffusionXLPipeline,
    UNet2DConditionModel,
)
from PIL import Image
from safetensors.torch import save_file
from torch import Tensor
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTextModelWithProjection, CLIPTokenizer

from diffagent_tools.ldm import UNET_PREFIX, VAE_PREFIX, ldm_state, open_clip_state, unet_keys, vae_keys
from finetune.pocket.kohya import save_kohya_lora
from finetune.pocket.ldm import save_single_file
from finetune.pocket.tokenizer import build_tokenizer
from tests.tiny_world import SCHEDULE
from tool_specs.calls import Call

LAYER = "mid_block.attentions.0.transformer_blocks.0.attn2.to_k"


def tiny_vae(seed: int = 1) -> AutoencoderKL:
    """A random VAE of the real architecture."""
    torch.manual_seed(seed)
    return AutoencoderKL(
        down_block_types=("DownEncoderBlock2D",) * 4,
        up_block_types=("UpDecoderBlock2D",) * 4,
        block_out_channels=(8, 8, 16, 16),
        layers_per_block=1,
        norm_num_groups=4,
        latent_channels=4,
    ).eval()


def _unet(text_width: int, **more: object) -> UNet2DConditionModel:
    torch.manual_seed(2)
    return UNet2DConditionModel(
        sample_size=64,
        layers_per_block=1,
        block_out_channels=(16, 32),
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D"),
        up_block_types=("CrossAttnUpBlock2D", "UpBlock2D"),
        cross_attention_dim=text_width,
        attention_head_dim=2,
        norm_num_groups=8,
        **more,
    ).eval()


def _text_config(tokenizer: CLIPTokenizer, width: int) -> CLIPTextConfig:
    return CLIPTextConfig(
        vocab_size=len(tokenizer),
        hidden_size=width,
        intermediate_size=64,
        num_hidden_layers=4,
        num_attention_heads=4,
        max_position_embeddings=32,
        projection_dim=width,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
        initializer_factor=5.0,
    )


def _write_config(pipeline: StableDiffusionPipeline | StableDiffusionXLPipeline, folder: Path) -> Path:
    pipeline.save_pretrained(folder)
    for weights in folder.rglob("*.safetensors"):
        weights.unlink()
    return folder


def drawn_by_hand(
    pipeline: StableDiffusionPipeline | StableDiffusionXLPipeline,
    call: Call,
    *,
    prediction: str = "epsilon",
    **prompts: object,
) -> Image.Image:
    """What the pipeline draws for a call to DPM++ 2M Karras."""
    pipeline.set_progress_bar_config(disable=True)
    pipeline.scheduler = DPMSolverMultistepScheduler.from_config(
        {**SCHEDULE, "prediction_type": prediction}, steps_offset=0, use_karras_sigmas=True
    )
    return pipeline(
        num_inference_steps=call.steps,
        guidance_scale=call.cfg_scale,
        width=call.width,
        height=call.height,
        generator=torch.Generator().manual_seed(call.seed),
        **prompts,
    ).images[0]


def assert_alike(left: Image.Image, right: Image.Image) -> None:
    """No pixel differs by more than rounding."""
    assert np.abs(np.asarray(left, dtype=int) - np.asarray(right, dtype=int)).max() <= 1


def _lora(path: Path, text_width: int) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(9)
    pair = torch.randn(2, text_width, generator=generator), torch.randn(32, 2, generator=generator)
    save_kohya_lora(path, {LAYER: pair}, alpha=2.0, metadata={}, dtype=torch.float32)
    return pair


def build_sd15(folder: Path) -> tuple[StableDiffusionPipeline, Path]:
    """`model.safetensors`, `style.safetensors` and `config/` in a folder, and the same as a pipeline."""
    tokenizer = build_tokenizer(folder / "tokenizer")
    pipeline = StableDiffusionPipeline(
        vae=tiny_vae(),
        unet=_unet(768),
        text_encoder=CLIPTextModel(_text_config(tokenizer, 768)).eval(),
        tokenizer=tokenizer,
        scheduler=DDIMScheduler(**SCHEDULE),
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    )
    save_single_file(
        folder / "model.safetensors",
        unet=pipeline.unet,
        vae=pipeline.vae,
        text_encoder=pipeline.text_encoder,
        dtype=torch.float32,
    )
    _lora(folder / "style.safetensors", 768)
    _write_config(pipeline, folder / "config")
    return pipeline, folder


def build_sd2(folder: Path) -> tuple[StableDiffusionPipeline, Path]:
    """`model.safetensors` and `config/` in a folder, and the same as a pipeline: SD 2.x, whose text encoder is
    OpenCLIP's."""
    tokenizer = build_tokenizer(folder / "tokenizer")
    pipeline = StableDiffusionPipeline(
        vae=tiny_vae(),
        unet=_unet(1024, use_linear_projection=True),
        text_encoder=CLIPTextModel(_text_config(tokenizer, 1024)).eval(),
        tokenizer=tokenizer,
        scheduler=DDIMScheduler(**SCHEDULE),
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    )
    unet, vae = pipeline.unet.state_dict(), pipeline.vae.state_dict()
    tensors = {UNET_PREFIX + key: unet[name] for name, key in unet_keys(pipeline.unet).items()}
    tensors |= {VAE_PREFIX + key: vae[name] for name, key in vae_keys(pipeline.vae).items()}
    text = open_clip_state(pipeline.text_encoder)
    tensors |= {f"cond_stage_model.model.{name}": tensor for name, tensor in text.items()}
    save_file({name: tensor.contiguous().clone() for name, tensor in tensors.items()}, folder / "model.safetensors")
    _write_config(pipeline, folder / "config")
    return pipeline, folder


def build_sdxl(folder: Path) -> tuple[StableDiffusionXLPipeline, Path]:
    """`model.safetensors`, `style.safetensors` and `config/` in a folder, and the same as a pipeline."""
    tokenizer = build_tokenizer(folder / "tokenizer")
    pipeline = StableDiffusionXLPipeline(
        vae=tiny_vae(),
        unet=_unet(
            2048,
            addition_embed_type="text_time",
            addition_time_embed_dim=8,
            projection_class_embeddings_input_dim=8 * 6 + 1280,
            use_linear_projection=True,
        ),
        text_encoder=CLIPTextModel(_text_config(tokenizer, 768)).eval(),
        text_encoder_2=CLIPTextModelWithProjection(_text_config(tokenizer, 1280)).eval(),
        tokenizer=tokenizer,
        tokenizer_2=tokenizer,
        scheduler=DDIMScheduler(**SCHEDULE),
        add_watermarker=False,
    )
    unet, vae = pipeline.unet.state_dict(), pipeline.vae.state_dict()
    assert set(ldm_state(pipeline.unet, pipeline.vae, pipeline.text_encoder)) >= {
        f"{UNET_PREFIX}label_emb.0.0.weight",
        f"{UNET_PREFIX}label_emb.0.2.bias",
    }
    tensors = {UNET_PREFIX + key: unet[name] for name, key in unet_keys(pipeline.unet).items()}
    tensors |= {VAE_PREFIX + key: vae[name] for name, key in vae_keys(pipeline.vae).items()}
    first = pipeline.text_encoder.state_dict()
    tensors |= {
        f"conditioner.embedders.0.transformer.text_model.{name.removeprefix('text_model.')}": tensor
        for name, tensor in first.items()
    }
    second = open_clip_state(pipeline.text_encoder_2)
    tensors |= {f"conditioner.embedders.1.model.{name}": tensor for name, tensor in second.items()}
    save_file({name: tensor.contiguous().clone() for name, tensor in tensors.items()}, folder / "model.safetensors")
    _lora(folder / "style.safetensors", 2048)
    save_file(
        {"clip_l": torch.ones(2, 768), "clip_g": torch.ones(2, 1280)},
        folder / "glow.safetensors",
    )
    _write_config(pipeline, folder / "config")
    return pipeline, folder
