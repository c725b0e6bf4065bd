"""The families beside the pocket one: untrained networks of their architectures, a few channels wide."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
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

from diffagent_tools.backends import DiffusersBackend
from finetune.pocket.kohya import save_kohya_lora
from finetune.pocket.ldm import UNET_PREFIX, VAE_PREFIX, ldm_state, save_single_file, unet_keys, vae_keys
from finetune.pocket.tokenizer import build_tokenizer
from tests.exported_script import difference, run_script
from tests.tiny_world import SCHEDULE, Shelf
from tool_specs.calls import Call, HiresFix, LoraUse, StableDiffusion15Call, StableDiffusionXLCall, call_model
from tool_specs.exports import to_diffusers_script
from tool_specs.families import FAMILIES

NETWORK_FILES = {
    "sd15": (("Checkpoint", "model.safetensors"), ("LORA", "style.safetensors")),
    "sdxl": (
        ("Checkpoint", "model.safetensors"),
        ("LORA", "style.safetensors"),
        ("TextualInversion", "glow.safetensors"),
    ),
}
"""What lies in the folder of a family."""
LAYER = "mid_block.attentions.0.transformer_blocks.0.attn2.to_k"


def _vae() -> AutoencoderKL:
    torch.manual_seed(1)
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


def _backend(folder: Path, base_model: str, family: str) -> tuple[DiffusersBackend, str, str]:
    """A backend with one checkpoint and one LoRA, and their ids."""
    shelf = Shelf()
    checkpoint = shelf.put(1, "Checkpoint", folder / "model.safetensors", base_model=base_model)
    lora = shelf.put(2, "LORA", folder / "style.safetensors", base_model=base_model)
    configs = {family: folder / "config"}
    return DiffusersBackend(shelf.catalog, device="cpu", files=shelf.file_of, configs=configs), checkpoint, lora


def _by_hand(
    pipeline: StableDiffusionPipeline | StableDiffusionXLPipeline, call: Call, **prompts: object
) -> Image.Image:
    pipeline.set_progress_bar_config(disable=True)
    pipeline.scheduler = DPMSolverMultistepScheduler.from_config(SCHEDULE, steps_offset=0, use_karras_sigmas=True)
    return pipeline(
        num_inference_steps=call.steps,
        guidance_scale=call.cfg_scale,
        width=call.width,
        height=call.height,
        generator=torch.Generator().manual_seed(call.seed),
        **prompts,
    ).images[0]


def _assert_alike(left: Image.Image, right: Image.Image) -> None:
    assert np.abs(np.asarray(left, dtype=int) - np.asarray(right, dtype=int)).max() <= 1


def _lora(path: Path, text_width: int) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(9)
    pair = torch.randn(2, text_width, generator=generator), torch.randn(32, 2, generator=generator)
    save_kohya_lora(path, {LAYER: pair}, alpha=2.0, metadata={}, dtype=torch.float32)
    return pair


@pytest.fixture(scope="module")
def sd15(tmp_path_factory: pytest.TempPathFactory) -> tuple[StableDiffusionPipeline, Path]:
    folder = tmp_path_factory.mktemp("sd15")
    tokenizer = build_tokenizer(folder / "tokenizer")
    pipeline = StableDiffusionPipeline(
        vae=_vae(),
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


def _text_states(pipeline: StableDiffusionPipeline, text: str, clip_skip: int) -> Tensor:
    """What A1111 gives the UNet for a text."""
    tokens = pipeline.tokenizer(text, padding="max_length", return_tensors="pt").input_ids
    with torch.no_grad():
        output = pipeline.text_encoder(tokens, output_hidden_states=True)
        if clip_skip == 1:
            return output.last_hidden_state
        return pipeline.text_encoder.final_layer_norm(output.hidden_states[-clip_skip])


@pytest.mark.parametrize("clip_skip", [1, 2, 3])
def test_stable_diffusion_15_draws_what_its_pipeline_draws(
    sd15: tuple[StableDiffusionPipeline, Path], clip_skip: int
) -> None:
    pipeline, folder = sd15
    backend, checkpoint, lora = _backend(folder, "SD 1.5", "sd15")
    call = StableDiffusion15Call(
        checkpoint=checkpoint,
        prompt="a fox",
        negative_prompt="a cat",
        steps=2,
        width=256,
        height=264,
        clip_skip=clip_skip,
        seed=1,
    )
    picture = backend.draw(call).image
    expected = _by_hand(
        pipeline,
        call,
        prompt_embeds=_text_states(pipeline, "a fox", clip_skip),
        negative_prompt_embeds=_text_states(pipeline, "a cat", clip_skip),
    )
    _assert_alike(picture, expected)
    styled = backend.draw(call.model_copy(update={"loras": (LoraUse(id=lora, weight=1.0),)})).image
    assert styled.tobytes() != picture.tobytes()


def test_clip_skip_changes_the_picture(sd15: tuple[StableDiffusionPipeline, Path]) -> None:
    backend, checkpoint, _ = _backend(sd15[1], "SD 1.5", "sd15")
    call = StableDiffusion15Call(checkpoint=checkpoint, prompt="a fox", steps=2, width=256, height=256, seed=1)
    pictures = {
        backend.draw(call.model_copy(update={"clip_skip": clip_skip})).image.tobytes() for clip_skip in (1, 2, 3)
    }
    assert len(pictures) == 3


def _open_clip_state(encoder: CLIPTextModelWithProjection) -> dict[str, Tensor]:
    """The second text encoder of SDXL as OpenCLIP names it."""
    state = {name.removeprefix("text_model."): tensor for name, tensor in encoder.state_dict().items()}
    tensors = {
        "positional_embedding": state["embeddings.position_embedding.weight"],
        "token_embedding.weight": state["embeddings.token_embedding.weight"],
        "ln_final.weight": state["final_layer_norm.weight"],
        "ln_final.bias": state["final_layer_norm.bias"],
        "text_projection": state["text_projection.weight"].T,
    }
    names = {"layer_norm1": "ln_1", "layer_norm2": "ln_2", "mlp.fc1": "mlp.c_fc", "mlp.fc2": "mlp.c_proj"}
    for layer in range(encoder.config.num_hidden_layers):
        old, new = f"encoder.layers.{layer}", f"transformer.resblocks.{layer}"
        for kind in ("weight", "bias"):
            qkv = [state[f"{old}.self_attn.{part}_proj.{kind}"] for part in "qkv"]
            tensors[f"{new}.attn.in_proj_{kind}"] = torch.cat(qkv)
            tensors[f"{new}.attn.out_proj.{kind}"] = state[f"{old}.self_attn.out_proj.{kind}"]
            for theirs, ours in names.items():
                tensors[f"{new}.{ours}.{kind}"] = state[f"{old}.{theirs}.{kind}"]
    return tensors


@pytest.fixture(scope="module")
def sdxl(tmp_path_factory: pytest.TempPathFactory) -> tuple[StableDiffusionXLPipeline, Path]:
    folder = tmp_path_factory.mktemp("sdxl")
    tokenizer = build_tokenizer(folder / "tokenizer")
    pipeline = StableDiffusionXLPipeline(
        vae=_vae(),
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
    second = _open_clip_state(pipeline.text_encoder_2)
    tensors |= {f"conditioner.embedders.1.model.{name}": tensor for name, tensor in second.items()}
    save_file({name: tensor.contiguous().clone() for name, tensor in tensors.items()}, folder / "model.safetensors")
    _lora(folder / "style.safetensors", 2048)
    save_file(
        {"clip_l": torch.ones(2, 768), "clip_g": torch.ones(2, 1280)},
        folder / "glow.safetensors",
    )
    _write_config(pipeline, folder / "config")
    return pipeline, folder


@pytest.mark.parametrize(("clip_skip", "layers"), [(1, None), (2, None), (3, 1)])
def test_sdxl_draws_what_its_pipeline_draws(
    sdxl: tuple[StableDiffusionXLPipeline, Path], clip_skip: int, layers: int | None
) -> None:
    pipeline, folder = sdxl
    backend, checkpoint, lora = _backend(folder, "Pony", "sdxl")
    call = StableDiffusionXLCall(
        checkpoint=checkpoint, prompt="a fox", steps=1, width=512, height=520, clip_skip=clip_skip, seed=1
    )
    picture = backend.draw(call).image
    _assert_alike(picture, _by_hand(pipeline, call, prompt=call.prompt, clip_skip=layers))
    styled = backend.draw(call.model_copy(update={"loras": (LoraUse(id=lora, weight=1.0),)})).image
    assert styled.tobytes() != picture.tobytes()


def test_an_sdxl_embedding_reaches_both_text_encoders(sdxl: tuple[StableDiffusionXLPipeline, Path]) -> None:
    folder = sdxl[1]
    shelf = Shelf()
    checkpoint = shelf.put(1, "Checkpoint", folder / "model.safetensors", base_model="SDXL 1.0")
    embedding = shelf.put(3, "TextualInversion", folder / "glow.safetensors", base_model="SDXL 1.0")
    configs = {"sdxl": folder / "config"}
    backend = DiffusersBackend(shelf.catalog, device="cpu", files=shelf.file_of, configs=configs)
    call = StableDiffusionXLCall(checkpoint=checkpoint, prompt="a glow fox", steps=1, width=512, height=512, seed=1)
    plain = backend.draw(call).image
    taught = backend.draw(call.model_copy(update={"loras": (LoraUse(id=embedding),)})).image
    assert taught.tobytes() != plain.tobytes()
    assert backend.draw(call).image.tobytes() == plain.tobytes()


@pytest.mark.parametrize(("clip_skip", "upscaler"), [(1, None), (3, None), (1, "Latent"), (3, "Lanczos")])
@pytest.mark.parametrize("family", ["sd15", "sdxl"])
def test_an_exported_script_draws_the_same(
    request: pytest.FixtureRequest, tmp_path: Path, family: str, clip_skip: int, upscaler: str | None
) -> None:
    _, folder = request.getfixturevalue(family)
    shelf = Shelf()
    base_model = {"sd15": "SD 1.5", "sdxl": "SDXL 1.0"}[family]
    ids = {
        kind: shelf.put(n, kind, folder / file, base_model=base_model, trigger_words=("glow",))
        for n, (kind, file) in enumerate(NETWORK_FILES[family], 1)
    }
    configs = {family: folder / "config"}
    call = call_model(family)(
        checkpoint=ids.pop("Checkpoint"),
        loras=tuple(LoraUse(id=network, weight=0.6) for network in ids.values()),
        prompt="a glow fox",
        negative_prompt="a cat",
        steps=2,
        width=FAMILIES[family].min_size,
        height=FAMILIES[family].min_size + 8,
        clip_skip=clip_skip,
        seed=1,
        hires=HiresFix.model_validate({"upscale": 1.25, "steps": 1, "upscaler": upscaler}) if upscaler else None,
    )
    backend = DiffusersBackend(shelf.catalog, device="cpu", files=shelf.file_of, configs=configs)
    source = to_diffusers_script(call, shelf.catalog, files=shelf.file_of, configs=configs)
    assert difference(run_script(source, tmp_path), backend.draw(call).image) <= 1
