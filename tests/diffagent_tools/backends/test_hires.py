"""The second pass of a hires fix."""

from __future__ import annotations

import numpy as np
import pytest

from diffagent_tools.backends import DiffusersBackend, StepProgress
from tests.diffagent_tools.conftest import build_studio
from tests.tiny_world import TinyWorld
from tool_specs.calls import Call, HiresFix, LoraUse, PocketCall

CALL = PocketCall(checkpoint="civitai:1@101", prompt="a fox", steps=4, width=32, height=40, seed=7)
LATENT, LANCZOS = HiresFix(upscale=2), HiresFix(upscale=2, upscaler="Lanczos")


@pytest.fixture(scope="module")
def backend(tiny_world: TinyWorld) -> DiffusersBackend:
    return build_studio(tiny_world).backend()


def hires(call: Call, fix: HiresFix) -> Call:
    return call.model_copy(update={"hires": fix})


@pytest.mark.parametrize("upscaler", ["Latent", "Lanczos"])
def test_the_picture_is_larger_and_the_call_draws_it_again(backend: DiffusersBackend, upscaler: str) -> None:
    call = hires(CALL, HiresFix.model_validate({"upscale": 1.6, "upscaler": upscaler})).model_copy(
        update={"seed": None}
    )
    drawing = backend.draw(call)
    assert drawing.image.size == drawing.call.final_size == (48, 64)
    assert drawing.call.hires == call.hires
    assert backend.draw(drawing.call).image.tobytes() == drawing.image.tobytes()


def test_a_little_strength_keeps_the_first_picture(backend: DiffusersBackend) -> None:
    small = backend.draw(CALL).image
    large = np.asarray(small.resize((64, 80)), dtype=float)
    distances = [
        float(np.abs(np.asarray(backend.draw(hires(CALL, fix)).image, dtype=float) - large).mean())
        for fix in (LANCZOS.model_copy(update={"denoising_strength": strength}) for strength in (0.05, 0.95))
    ]
    assert distances[0] < distances[1]


@pytest.mark.parametrize(("fix", "second"), [(LATENT, 4), (HiresFix(steps=7, denoising_strength=0.3), 7)])
@pytest.mark.parametrize("sampler", ["Euler a", "DPM++ 2M Karras"])
def test_the_second_pass_runs_its_own_steps(
    backend: DiffusersBackend, fix: HiresFix, second: int, sampler: str
) -> None:
    told: list[StepProgress] = []
    backend.draw(hires(CALL.model_copy(update={"sampler": sampler}), fix), on_step=told.append)
    assert [progress.step for progress in told] == list(range(1, 4 + second + 1))
    assert {progress.total for progress in told} == {4 + second}


def test_networks_act_in_both_passes(backend: DiffusersBackend) -> None:
    with_lora = CALL.model_copy(update={"loras": (LoraUse(id="civitai:11@111", weight=1.0),)})
    assert backend.draw(hires(with_lora, LATENT)).image.tobytes() != backend.draw(hires(CALL, LATENT)).image.tobytes()
    assert backend.draw(CALL).image.size == (32, 40)
