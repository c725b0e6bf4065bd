"""The flow-matching families: untrained pipelines of their architectures, drawn by the backend and by themselves."""

from __future__ import annotations

from pathlib import Path
from types import MappingProxyType

import pytest
import torch
from diffusers import DiffusionPipeline
from PIL import Image
from safetensors.torch import save_file

from diffagent_tools.backends import DiffusersBackend
from tests.tiny_families import assert_alike
from tests.tiny_flows import TINY_FLOWS
from tests.tiny_world import Shelf
from tool_specs.calls import Call, call_model
from tool_specs.exceptions import CallError, WeightsError
from tool_specs.families import FAMILIES

LABELS = MappingProxyType(
    {"flux1": "Flux.1 D", "sd35": "SD 3.5 Large", "chroma": "Chroma", "qwen": "Qwen", "zimage": "ZImageTurbo"}
)


class World:
    """One family's checkpoint and configuration on disk, and the pipeline that they were saved from."""

    def __init__(self, family: str, folder: Path) -> None:
        self.family = family
        self.pipeline: DiffusionPipeline = TINY_FLOWS[family](folder)
        self.pipeline.set_progress_bar_config(disable=True)
        for part in self.pipeline.components.values():
            if isinstance(part, torch.nn.Module):
                part.eval()
        self.pipeline.save_pretrained(folder / "config")
        save_file(self.pipeline.transformer.state_dict(), folder / "model.safetensors")
        self.folder = folder
        self.shelf = Shelf()
        self.checkpoint = self.shelf.put(1, "Checkpoint", folder / "model.safetensors", base_model=LABELS[family])
        self.start = Image.effect_noise((512, 512), 90).convert("RGB")
        self.backend = DiffusersBackend(
            self.shelf.catalog,
            device="cpu",
            files=self.shelf.file_of,
            configs={family: folder / "config"},
            pictures=lambda _: self.start,
        )

    def call(self, **more: object) -> Call:
        values = {"checkpoint": self.checkpoint, "prompt": "a fox", "steps": 2, "width": 512, "height": 528, "seed": 1}
        return call_model(self.family).model_validate({**values, "cfg_scale": 3.0, **more})


@pytest.fixture(scope="module", params=LABELS)
def world(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> World:
    return World(request.param, tmp_path_factory.mktemp(request.param))


def test_a_family_draws_what_its_pipeline_draws(world: World) -> None:
    guided = FAMILIES[world.family].has_negative_prompt
    call = world.call(negative_prompt="a cat" if guided else "")
    drawn = world.backend.draw(call).image
    # To Z-Image's own pipeline 0 is no guidance, to everybody else 1.
    scale = 2.0 if world.family == "zimage" else 3.0
    arguments: dict[str, object] = {"true_cfg_scale" if world.family == "qwen" else "guidance_scale": scale}
    if guided:
        arguments["negative_prompt"] = "a cat"
    expected = world.pipeline(
        "a fox",
        num_inference_steps=2,
        width=512,
        height=528,
        generator=torch.Generator().manual_seed(1),
        **arguments,
    ).images[0]
    assert drawn.size == (512, 528)
    assert len(drawn.convert("L").getcolors()) > 9
    assert_alike(drawn, expected)


def test_guidance_acts_without_a_negative_prompt(world: World) -> None:
    weak, strong = (world.backend.draw(world.call(cfg_scale=scale)).image for scale in (2.0, 9.0))
    assert weak.tobytes() != strong.tobytes()


def test_every_sampler_draws(world: World) -> None:
    pictures = {
        name: world.backend.draw(world.call(sampler=name, steps=4)).image.tobytes()
        for name in FAMILIES[world.family].samplers
    }
    assert len(set(pictures.values())) == len(pictures)


def test_a_lora_acts_in_the_call_that_names_it(world: World) -> None:
    layer = "layers.0.attention.to_q" if world.family == "zimage" else "transformer_blocks.0.attn.to_q"
    width, height = world.pipeline.transformer.get_submodule(layer).weight.T.shape
    pair = {"lora_A": torch.ones(2, width), "lora_B": torch.ones(height, 2)}
    tensors = {f"transformer.{layer}.{name}.weight": tensor for name, tensor in pair.items()}
    save_file(tensors, world.folder / "style.safetensors")
    lora = world.shelf.put(5, "LORA", world.folder / "style.safetensors", base_model=LABELS[world.family])
    backend = DiffusersBackend(
        world.shelf.catalog, device="cpu", files=world.shelf.file_of, configs={world.family: world.folder / "config"}
    )
    plain = backend.draw(world.call()).image
    styled = backend.draw(world.call(loras=({"id": lora, "weight": 0.8},))).image
    assert styled.tobytes() != plain.tobytes()
    assert backend.draw(world.call()).image.tobytes() == plain.tobytes()


def test_a_drawing_may_begin_from_a_picture(world: World) -> None:
    call = world.call(init_image="ab" * 32, denoising_strength=0.6, steps=4)
    drawn = world.backend.draw(call).image
    assert drawn.size == (512, 528)
    assert drawn.tobytes() != world.backend.draw(world.call(steps=4)).image.tobytes()


def test_what_a_flow_cannot_do_is_refused_before_it_is_loaded(world: World) -> None:
    save_file({"emb_params": torch.ones(2, 768)}, world.folder / "glow.safetensors")
    embedding = world.shelf.put(
        7, "TextualInversion", world.folder / "glow.safetensors", base_model=LABELS[world.family]
    )
    save_file({"lora_unet_x.hada_w1_a": torch.ones(2, 2)}, world.folder / "loha.safetensors")
    loha = world.shelf.put(8, "LoCon", world.folder / "loha.safetensors", base_model=LABELS[world.family])
    fresh = DiffusersBackend(world.shelf.catalog, device="cpu", files=world.shelf.file_of)
    with pytest.raises(CallError, match=f"draws no hires fix with {world.family}: leave hires out"):
        fresh.draw(world.call(hires={"upscale": 1.25}))
    with pytest.raises(CallError, match=f"cannot load the embedding {embedding} into {world.family}"):
        fresh.draw(world.call(loras=({"id": embedding},)))
    with pytest.raises(WeightsError, match=f"LyCORIS network, which is not computed for {world.family}"):
        fresh.draw(world.call(loras=({"id": loha},)))
    assert fresh.checkpoint_loads == 0


@pytest.mark.parametrize("world", ["flux1", "sd35"], indirect=True)
def test_other_solvers_do_not_begin_from_a_picture(world: World) -> None:
    call = world.call(sampler="UniPC", init_image="ab" * 32, denoising_strength=0.6, steps=4)
    with pytest.raises(CallError, match="knows only the sampler 'Euler', not 'UniPC'"):
        world.backend.draw(call)
