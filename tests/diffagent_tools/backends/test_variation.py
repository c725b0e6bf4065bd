"""The variation seed."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from diffagent_tools.backends import DiffusersBackend
from diffagent_tools.backends.variation import between
from tests.diffagent_tools.conftest import build_studio
from tests.tiny_world import TinyWorld
from tool_specs.calls import Call, HiresFix, PocketCall, Variation

CALL = PocketCall(checkpoint="civitai:1@101", prompt="a fox", steps=4, width=32, height=40, seed=7)


@pytest.fixture(scope="module")
def backend(tiny_world: TinyWorld) -> DiffusersBackend:
    return build_studio(tiny_world).backend()


def varied(strength: float, seed: int = 8, **more: object) -> Call:
    return CALL.model_copy(update={"variation": Variation(seed=seed, strength=strength), **more})


def pixels(backend: DiffusersBackend, call: Call) -> np.ndarray:
    return np.asarray(backend.draw(call).image, dtype=float)


@pytest.mark.parametrize("sampler", ["DPM++ 2M Karras", "Euler"])
def test_the_picture_goes_from_one_seed_to_the_other(backend: DiffusersBackend, sampler: str) -> None:
    """These samplers make no noise on the way, so that at full strength the other seed's picture is reached."""
    first = pixels(backend, CALL.model_copy(update={"sampler": sampler}))
    other = pixels(backend, CALL.model_copy(update={"sampler": sampler, "seed": 8}))
    reached = [pixels(backend, varied(strength, sampler=sampler)) for strength in (1e-6, 0.2, 0.6, 1.0)]
    assert np.abs(reached[0] - first).max() <= 1
    assert np.abs(reached[-1] - other).max() <= 1
    distances = [np.abs(picture - first).mean() for picture in reached]
    assert distances == sorted(distances)
    assert distances[1] > 0


def test_the_noise_on_the_way_is_the_seeds_own(backend: DiffusersBackend) -> None:
    """An ancestral sampler asks the call's own seed for more, as if there were no variation."""
    call = CALL.model_copy(update={"sampler": "Euler a"})
    assert np.abs(pixels(backend, varied(1e-6, sampler="Euler a")) - pixels(backend, call)).max() <= 1


def test_a_variation_by_the_same_seed_is_none(backend: DiffusersBackend) -> None:
    assert np.abs(pixels(backend, varied(0.5, seed=7)) - pixels(backend, CALL)).max() <= 1


def test_the_same_variation_gives_the_same_bytes(backend: DiffusersBackend) -> None:
    drawing = backend.draw(varied(0.3, hires=HiresFix(upscale=1.5), seed=9))
    assert backend.draw(drawing.call).image.tobytes() == drawing.image.tobytes()
    assert backend.draw(varied(0.3, seed=10)).image.tobytes() != backend.draw(varied(0.3, seed=9)).image.tobytes()


@given(seed=st.integers(0, 99), strength=st.floats(0, 1), height=st.integers(4, 64))
def test_the_mixture_is_as_strong_as_what_it_is_made_of(seed: int, strength: float, height: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    first, second = (torch.nn.functional.normalize(torch.randn(1, 2, height, 3, generator=generator), dim=-2)
                     for _ in range(2))  # fmt: skip
    mixed = between(first, second, strength)
    assert torch.allclose(mixed.norm(dim=-2), torch.ones(1, 2, 3), atol=1e-3)
    cosine = (first * second).sum(dim=-2).clamp(-1, 1)
    assert torch.allclose((first * mixed).sum(dim=-2), torch.cos(torch.acos(cosine) * strength), atol=1e-3)


def test_the_same_noise_twice_stays_what_it_is() -> None:
    noise = torch.randn(1, 4, 8, 8, generator=torch.Generator().manual_seed(1))
    assert torch.allclose(between(noise, noise.clone(), 0.4), noise)
    assert between(noise.half(), noise.half(), 0.4).dtype == torch.float16
