"""The families beside the pocket one: untrained networks of their architectures, a few channels wide."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from diffusers import StableDiffusionPipeline, StableDiffusionXLPipeline
from safetensors.torch import load_file, save_file
from torch import Tensor

from diffagent_tools.backends import DiffusersBackend
from tests.exported_script import difference, run_script
from tests.tiny_families import assert_alike, build_sd2, build_sd15, build_sdxl, drawn_by_hand
from tests.tiny_world import Shelf
from tool_specs.calls import (
    HiresFix,
    LoraUse,
    StableDiffusion2Call,
    StableDiffusion15Call,
    StableDiffusionXLCall,
    call_model,
)
from tool_specs.exports import to_diffusers_script
from tool_specs.families import FAMILIES
from tool_specs.schedulers import SCHEDULERS

NETWORK_FILES = {
    "sd15": (("Checkpoint", "model.safetensors"), ("LORA", "style.safetensors")),
    "sdxl": (
        ("Checkpoint", "model.safetensors"),
        ("LORA", "style.safetensors"),
        ("TextualInversion", "glow.safetensors"),
    ),
}
"""What lies in the folder of a family."""


def _backend(folder: Path, base_model: str, family: str) -> tuple[DiffusersBackend, str, str]:
    """A backend with one checkpoint and one LoRA, and their ids."""
    shelf = Shelf()
    checkpoint = shelf.put(1, "Checkpoint", folder / "model.safetensors", base_model=base_model)
    lora = shelf.put(2, "LORA", folder / "style.safetensors", base_model=base_model)
    configs = {family: folder / "config"}
    return DiffusersBackend(shelf.catalog, device="cpu", files=shelf.file_of, configs=configs), checkpoint, lora


@pytest.fixture(scope="module")
def sd15(tmp_path_factory: pytest.TempPathFactory) -> tuple[StableDiffusionPipeline, Path]:
    return build_sd15(tmp_path_factory.mktemp("sd15"))


@pytest.fixture(scope="module")
def sd2(tmp_path_factory: pytest.TempPathFactory) -> tuple[StableDiffusionPipeline, Path]:
    return build_sd2(tmp_path_factory.mktemp("sd2"))


@pytest.mark.parametrize(("base_model", "prediction"), [("SD 2.1 768", "v_prediction"), ("SD 2.0", "epsilon")])
def test_stable_diffusion_2_predicts_what_its_label_says(
    sd2: tuple[StableDiffusionPipeline, Path], base_model: str, prediction: str
) -> None:
    pipeline, folder = sd2
    shelf = Shelf()
    checkpoint = shelf.put(1, "Checkpoint", folder / "model.safetensors", base_model=base_model)
    configs = {"sd2": folder / "config"}
    backend = DiffusersBackend(shelf.catalog, device="cpu", files=shelf.file_of, configs=configs)
    call = StableDiffusion2Call(
        checkpoint=checkpoint, prompt="a fox", negative_prompt="a cat", steps=3, width=256, height=264, seed=1
    )
    picture = backend.draw(call).image
    expected = drawn_by_hand(
        pipeline, call, prediction=prediction, prompt=call.prompt, negative_prompt=call.negative_prompt
    )
    assert_alike(picture, expected)
    source = to_diffusers_script(call, shelf.catalog, files=shelf.file_of, configs=configs)
    assert difference(run_script(source, folder), picture) <= 1


def test_a_file_may_say_that_it_predicts_the_velocity(
    sd15: tuple[StableDiffusionPipeline, Path], tmp_path: Path
) -> None:
    tensors = load_file(sd15[1] / "model.safetensors")
    save_file({**tensors, "v_pred": torch.zeros(0)}, tmp_path / "v.safetensors")
    shelf = Shelf()
    ids = [
        shelf.put(n, "Checkpoint", path, base_model="SD 1.5")
        for n, path in enumerate((sd15[1] / "model.safetensors", tmp_path / "v.safetensors"), 1)
    ]
    configs = {"sd15": sd15[1] / "config"}
    backend = DiffusersBackend(shelf.catalog, device="cpu", files=shelf.file_of, configs=configs)
    call = StableDiffusion15Call(checkpoint=ids[1], prompt="a fox", steps=2, width=256, height=264, seed=1)
    picture = backend.draw(call).image
    assert_alike(picture, drawn_by_hand(sd15[0], call, prediction="v_prediction", prompt="a fox"))
    assert picture.tobytes() != backend.draw(call.model_copy(update={"checkpoint": ids[0]})).image.tobytes()


@pytest.mark.parametrize("sampler", SCHEDULERS)
def test_every_sampler_draws(sd15_backend: tuple[DiffusersBackend, str], sampler: str) -> None:
    backend, checkpoint = sd15_backend
    call = StableDiffusion15Call(
        checkpoint=checkpoint, prompt="a fox", sampler=sampler, steps=4, width=256, height=256, seed=1
    )
    picture = backend.draw(call).image
    assert len(picture.convert("L").getcolors()) > 9
    assert picture.tobytes() == backend.draw(call).image.tobytes()


@pytest.fixture(scope="module")
def sd15_backend(sd15: tuple[StableDiffusionPipeline, Path]) -> tuple[DiffusersBackend, str]:
    backend, checkpoint, _ = _backend(sd15[1], "SD 1.5", "sd15")
    return backend, checkpoint


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
    expected = drawn_by_hand(
        pipeline,
        call,
        prompt_embeds=_text_states(pipeline, "a fox", clip_skip),
        negative_prompt_embeds=_text_states(pipeline, "a cat", clip_skip),
    )
    assert_alike(picture, expected)
    styled = backend.draw(call.model_copy(update={"loras": (LoraUse(id=lora, weight=1.0),)})).image
    assert styled.tobytes() != picture.tobytes()


def test_clip_skip_changes_the_picture(sd15: tuple[StableDiffusionPipeline, Path]) -> None:
    backend, checkpoint, _ = _backend(sd15[1], "SD 1.5", "sd15")
    call = StableDiffusion15Call(checkpoint=checkpoint, prompt="a fox", steps=2, width=256, height=256, seed=1)
    pictures = {
        backend.draw(call.model_copy(update={"clip_skip": clip_skip})).image.tobytes() for clip_skip in (1, 2, 3)
    }
    assert len(pictures) == 3


@pytest.fixture(scope="module")
def sdxl(tmp_path_factory: pytest.TempPathFactory) -> tuple[StableDiffusionXLPipeline, Path]:
    return build_sdxl(tmp_path_factory.mktemp("sdxl"))


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
    assert_alike(picture, drawn_by_hand(pipeline, call, prompt=call.prompt, clip_skip=layers))
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
    # Between the passes the picture is rounded to 8 bits, and the second one enlarges what differs there.
    assert difference(run_script(source, tmp_path), backend.draw(call).image) <= (8 if upscaler == "Lanczos" else 1)
