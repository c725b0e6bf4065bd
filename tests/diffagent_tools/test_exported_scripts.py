"""Exported scripts draw what the backend draws."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from diffusers import (
    AutoencoderKL,
    FlowMatchEulerDiscreteScheduler,
    FluxPipeline,
    FluxTransformer2DModel,
    SD3Transformer2DModel,
    StableDiffusion3Pipeline,
)
from PIL import Image
from safetensors.torch import save_file
from transformers import (
    CLIPTextConfig,
    CLIPTextModel,
    CLIPTextModelWithProjection,
    CLIPTokenizer,
    T5Config,
    T5EncoderModel,
)

from diffagent_tools.artifacts import ArtifactStore
from diffagent_tools.backends import DiffusersBackend
from diffagent_tools.backends.pipelines import PIPELINES as DRAWN_HERE
from finetune.pocket.tokenizer import build_tokenizer
from tests.diffagent_tools.conftest import Studio
from tests.exported_script import difference, run_script
from tests.tiny_world import Shelf
from tool_specs.calls import PocketCall, parse_call
from tool_specs.catalog import Catalog
from tool_specs.exports import to_diffusers_script
from tool_specs.exports.pipelines import PIPELINES
from tool_specs.families import FAMILIES

ROOT = Path(__file__).parents[2]
CLOSE = 1
"""Values of 255 that a picture may differ by where another number of threads adds in another order."""


def test_a_pocket_call_is_drawn_alike_by_a_script_of_its_own(tmp_path: Path) -> None:
    catalog = Catalog.pocket()
    call = PocketCall(
        checkpoint="civitai:9001@9101",
        loras=({"id": "civitai:9011@9111", "weight": 0.8}, {"id": "civitai:9021@9121"}),
        prompt="a fox, mintcolor",
        negative_prompt="a red cat",
        sampler="DPM++ 2M Karras",
        steps=8,
        seed=11,
    )
    script = tmp_path / "fox.py"
    script.write_text(to_diffusers_script(call, catalog), encoding="utf-8")

    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    done = subprocess.run(
        [sys.executable, str(script), "fox.png"],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    )

    assert done.stdout == "fox.png, seed 11\n"
    expected = DiffusersBackend(catalog, device="cpu").draw(call).image
    with Image.open(tmp_path / "fox.png") as drawn:
        assert difference(drawn.convert("RGB"), expected) <= CLOSE


@pytest.mark.parametrize("sampler", FAMILIES["pocket"].samplers)
def test_every_sampler_draws_alike(
    studio: Studio, shared_backend: DiffusersBackend, tmp_path: Path, sampler: str
) -> None:
    call = PocketCall(checkpoint=studio.checkpoints[0], prompt="a fox", sampler=sampler, steps=4, seed=5)
    source = to_diffusers_script(
        call, studio.shelf.catalog, files=studio.shelf.file_of, configs={"pocket": studio.world.config}
    )
    assert difference(run_script(source, tmp_path), shared_backend.draw(call).image) <= CLOSE


def test_networks_and_a_picture_to_begin_from_act_alike(studio: Studio, tmp_path: Path) -> None:
    store = ArtifactStore(tmp_path / "artifacts")
    begin = Image.effect_noise((96, 80), 90).convert("RGB")
    plain = PocketCall(checkpoint=studio.checkpoints[1], prompt="a mintcolor fox", steps=6, seed=5, width=64, height=72)
    reference = store.save(begin, plain, infotext="")
    call = parse_call(
        plain.model_dump()
        | {
            "loras": [
                {"id": studio.loras[0], "weight": 0.7},
                {"id": studio.loras[1], "weight": -0.4},
                {"id": studio.embedding},
            ]
        }
        | {"init_image": reference["sha256"], "denoising_strength": 0.7}
    )
    (tmp_path / f"{reference['sha256']}.png").write_bytes(Path(reference["path"]).read_bytes())
    source = to_diffusers_script(
        call, studio.shelf.catalog, files=studio.shelf.file_of, configs={"pocket": studio.world.config}
    )
    backend = DiffusersBackend(
        studio.shelf.catalog, device="cpu", files=studio.shelf.file_of, configs={"pocket": studio.world.config},
        pictures=store.load,
    )  # fmt: skip
    drawn = run_script(source, tmp_path)
    assert difference(drawn, backend.draw(call).image) <= CLOSE
    assert difference(drawn, backend.draw(plain).image) > CLOSE


def test_what_is_missing_is_named(studio: Studio, tmp_path: Path) -> None:
    call = PocketCall(checkpoint=studio.checkpoints[0], prompt="a fox", loras=({"id": studio.loras[0]},))
    source = to_diffusers_script(
        call,
        studio.shelf.catalog,
        files=lambda spec: Path(f"{spec.model_id}.safetensors"),
        configs={"pocket": tmp_path},
    )
    with pytest.raises(SystemExit, match=r"^not here: 1\.safetensors, 11\.safetensors; the comments at the top say"):
        run_script(source, tmp_path)


def test_the_backend_and_the_scripts_draw_a_family_with_the_same_pipeline() -> None:
    for family, kind in DRAWN_HERE.items():
        assert (kind.pipeline, kind.first_clip_skip) == (
            PIPELINES[family].text_to_image,
            PIPELINES[family].first_clip_skip,
        )


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


def _flux(folder: Path) -> FluxPipeline:
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


def _sd35(folder: Path) -> StableDiffusion3Pipeline:
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


@pytest.mark.parametrize(("family", "base_model"), [("flux1", "Flux.1 D"), ("sd35", "SD 3.5 Large")])
@pytest.mark.parametrize("sampler", ["Euler", "DPM++ 2M", "UniPC", "from a picture"])
def test_scripts_of_the_flow_matching_models_run(
    tmp_path_factory: pytest.TempPathFactory, family: str, base_model: str, sampler: str
) -> None:
    folder = tmp_path_factory.mktemp(family)
    pipeline = {"flux1": _flux, "sd35": _sd35}[family](folder).to(torch.bfloat16)
    save_file(pipeline.transformer.state_dict(), folder / "model.safetensors")
    pipeline.save_pretrained(folder / "config")
    shelf = Shelf()
    checkpoint = shelf.put(1, "Checkpoint", folder / "model.safetensors", base_model=base_model)
    values: dict[str, object] = {"family": family, "checkpoint": checkpoint, "prompt": "a fox", "steps": 3, "seed": 2}
    values |= {"width": 512, "height": 512, "cfg_scale": 3.0}
    if sampler == "from a picture":
        values |= {"init_image": "ab" * 32, "denoising_strength": 0.7}
        Image.effect_noise((512, 512), 90).convert("RGB").save(folder / f"{'ab' * 32}.png")
    else:
        values["sampler"] = sampler
    source = to_diffusers_script(
        parse_call(values), shelf.catalog, files=shelf.file_of, configs={family: folder / "config"}
    )

    drawn = run_script(source, folder)

    assert drawn.size == (512, 512)
    if sampler == "Euler":
        expected = (
            type(pipeline)
            .from_pretrained(folder / "config", torch_dtype=torch.bfloat16)(
                "a fox",
                num_inference_steps=3,
                guidance_scale=3.0,
                height=512,
                width=512,
                generator=torch.Generator().manual_seed(2),
            )
            .images[0]
        )
        assert difference(drawn, expected) <= CLOSE
