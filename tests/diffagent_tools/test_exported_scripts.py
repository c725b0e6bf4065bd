"""Exported scripts draw what the backend draws."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from PIL import Image
from safetensors.torch import save_file

from diffagent_tools.artifacts import ArtifactStore
from diffagent_tools.backends import DiffusersBackend
from tests.diffagent_tools.conftest import Studio
from tests.exported_script import difference, run_script
from tests.tiny_flows import TINY_FLOWS
from tests.tiny_world import Shelf
from tool_specs.calls import PocketCall, parse_call
from tool_specs.catalog import Catalog
from tool_specs.exports import to_diffusers_script
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


@pytest.mark.parametrize(("family", "base_model"), [("flux1", "Flux.1 D"), ("sd35", "SD 3.5 Large")])
@pytest.mark.parametrize("sampler", ["Euler", "DPM++ 2M", "UniPC", "from a picture"])
def test_scripts_of_the_flow_matching_models_run(
    tmp_path_factory: pytest.TempPathFactory, family: str, base_model: str, sampler: str
) -> None:
    folder = tmp_path_factory.mktemp(family)
    pipeline = TINY_FLOWS[family](folder).to(torch.bfloat16)
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
