"""Untrained flow-matching pipelines of the real architectures, a few channels wide."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import torch
from diffusers import (
    AutoencoderKL,
    AutoencoderKLQwenImage,
    ChromaPipeline,
    ChromaTransformer2DModel,
    DiffusionPipeline,
    FlowMatchEulerDiscreteScheduler,
    FluxPipeline,
    FluxTransformer2DModel,
    QwenImagePipeline,
    QwenImageTransformer2DModel,
    SD3Transformer2DModel,
    StableDiffusion3Pipeline,
    ZImagePipeline,
    ZImageTransformer2DModel,
)
from transformers import (
    CLIPTextConfig,
    CLIPTextModel,
    CLIPTextModelWithProjection,
    CLIPTokenizer,
    Qwen2_5_VLConfig,
    Qwen2_5_VLForConditionalGeneration,
    Qwen3Config,
    Qwen3Model,
    T5Config,
    T5EncoderModel,
)

from finetune.pocket.tokenizer import build_tokenizer


def _clip(tokenizer: CLIPTokenizer) -> CLIPTextConfig:
    return CLIPTextConfig(
        vocab_size=len(tokenizer), hidden_size=16, intermediate_size=16, num_hidden_layers=3, num_attention_heads=2,
        max_position_embeddings=32, projection_dim=16, bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
    )  # fmt: skip


def _t5(tokenizer: CLIPTokenizer, width: int) -> T5EncoderModel:
    return T5EncoderModel(
        T5Config(vocab_size=len(tokenizer), d_model=width, d_kv=8, d_ff=16, num_layers=1, num_heads=2)
    )


def _vae() -> AutoencoderKL:
    return AutoencoderKL(
        down_block_types=("DownEncoderBlock2D",) * 4, up_block_types=("UpDecoderBlock2D",) * 4,
        block_out_channels=(4, 4, 4, 4), layers_per_block=1, norm_num_groups=2, latent_channels=16,
        use_quant_conv=False, use_post_quant_conv=False, shift_factor=0.1, scaling_factor=0.4,
    )  # fmt: skip


def tiny_flux(folder: Path) -> FluxPipeline:
    tokenizer = build_tokenizer(folder / "tokenizer")
    torch.manual_seed(3)
    return FluxPipeline(
        scheduler=FlowMatchEulerDiscreteScheduler(use_dynamic_shifting=True, shift=3.0),
        vae=_vae(),
        text_encoder=CLIPTextModel(_clip(tokenizer)),
        tokenizer=tokenizer,
        text_encoder_2=_t5(tokenizer, 16),
        tokenizer_2=tokenizer,
        transformer=FluxTransformer2DModel(
            in_channels=64, num_layers=1, num_single_layers=1, attention_head_dim=16, num_attention_heads=1,
            joint_attention_dim=16, pooled_projection_dim=16, guidance_embeds=True, axes_dims_rope=(4, 4, 8),
        ),
    )  # fmt: skip


def tiny_sd35(folder: Path) -> StableDiffusion3Pipeline:
    tokenizer = build_tokenizer(folder / "tokenizer")
    torch.manual_seed(3)
    return StableDiffusion3Pipeline(
        scheduler=FlowMatchEulerDiscreteScheduler(shift=3.0),
        vae=_vae(),
        text_encoder=CLIPTextModelWithProjection(_clip(tokenizer)),
        tokenizer=tokenizer,
        text_encoder_2=CLIPTextModelWithProjection(_clip(tokenizer)),
        tokenizer_2=tokenizer,
        text_encoder_3=_t5(tokenizer, 32),
        tokenizer_3=tokenizer,
        transformer=SD3Transformer2DModel(
            sample_size=32, patch_size=2, in_channels=16, num_layers=1, attention_head_dim=8, num_attention_heads=2,
            joint_attention_dim=32, caption_projection_dim=16, pooled_projection_dim=32, out_channels=16,
        ),
    )  # fmt: skip


def tiny_chroma(folder: Path) -> ChromaPipeline:
    """Chroma: Flux.1's blocks, whose modulation comes from one small network, and T5 alone."""
    tokenizer = build_tokenizer(folder / "tokenizer")
    torch.manual_seed(3)
    return ChromaPipeline(
        scheduler=FlowMatchEulerDiscreteScheduler(use_dynamic_shifting=True, shift=3.0),
        vae=_vae(),
        text_encoder=_t5(tokenizer, 16),
        tokenizer=tokenizer,
        transformer=ChromaTransformer2DModel(
            in_channels=64, num_layers=1, num_single_layers=1, attention_head_dim=16, num_attention_heads=1,
            joint_attention_dim=16, axes_dims_rope=(4, 4, 8), approximator_num_channels=8,
            approximator_hidden_dim=16, approximator_layers=1,
        ),
    )  # fmt: skip


def tiny_qwen(folder: Path) -> QwenImagePipeline:
    """Qwen-Image: a vision-language model reads the prompt."""
    tokenizer = build_tokenizer(folder / "tokenizer")
    torch.manual_seed(3)
    text = {
        "vocab_size": len(tokenizer), "hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 2,
        "num_attention_heads": 2, "num_key_value_heads": 2,
        "rope_scaling": {"type": "mrope", "mrope_section": [1, 1, 2]},
        "pad_token_id": 0, "bos_token_id": 0, "eos_token_id": 0,
    }  # fmt: skip
    vision = {"depth": 1, "hidden_size": 16, "intermediate_size": 16, "num_heads": 2, "out_hidden_size": 16}
    return QwenImagePipeline(
        scheduler=FlowMatchEulerDiscreteScheduler(use_dynamic_shifting=True, shift=1.0),
        vae=AutoencoderKLQwenImage(
            base_dim=4, z_dim=16, dim_mult=[1, 1, 1, 1], num_res_blocks=1, temperal_downsample=[False, True, True]
        ),
        text_encoder=Qwen2_5_VLForConditionalGeneration(Qwen2_5_VLConfig(text_config=text, vision_config=vision)),
        tokenizer=tokenizer,
        transformer=QwenImageTransformer2DModel(
            in_channels=64, out_channels=16, num_layers=1, attention_head_dim=16, num_attention_heads=1,
            joint_attention_dim=16, axes_dims_rope=(4, 4, 8),
        ),
    )  # fmt: skip


def tiny_zimage(folder: Path) -> ZImagePipeline:
    """Z-Image: a language model reads the prompt as a chat."""
    tokenizer = build_tokenizer(folder / "tokenizer")
    tokenizer.chat_template = "{% for message in messages %}{{ message['content'] }}{% endfor %}"
    torch.manual_seed(3)
    return ZImagePipeline(
        scheduler=FlowMatchEulerDiscreteScheduler(shift=3.0),
        vae=_vae(),
        text_encoder=Qwen3Model(
            Qwen3Config(
                vocab_size=len(tokenizer), hidden_size=16, intermediate_size=16, num_hidden_layers=2,
                num_attention_heads=2, num_key_value_heads=2, head_dim=8,
            )
        ),
        tokenizer=tokenizer,
        transformer=ZImageTransformer2DModel(
            all_patch_size=(2,), all_f_patch_size=(1,), in_channels=16, dim=32, n_layers=1, n_refiner_layers=1,
            n_heads=2, n_kv_heads=2, cap_feat_dim=16, axes_dims=[8, 4, 4], axes_lens=[256, 64, 64],
        ),
    )  # fmt: skip


TINY_FLOWS: Mapping[str, Callable[[Path], DiffusionPipeline]] = {
    "flux1": tiny_flux, "sd35": tiny_sd35, "chroma": tiny_chroma, "qwen": tiny_qwen, "zimage": tiny_zimage,
}  # fmt: skip
"""By family: builds the pipeline; its tokenizer is written into the folder."""
