"""Pictures whose opposite edges meet."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from transformers import CLIPTokenizer

from diffagent_tools.backends import DiffusersBackend
from diffagent_tools.backends.tiling import seamless
from tests.tiny_world import TinyWorld, tiny_modules, tiny_pipeline
from tool_specs.calls import Call, HiresFix, PocketCall
from tool_specs.catalog import Catalog

CHECKPOINT = "civitai:9001@9101"


@pytest.fixture(scope="module")
def backend() -> DiffusersBackend:
    """With the trained pocket weights: an untrained model draws no picture that has a seam."""
    return DiffusersBackend(Catalog.pocket(), device="cpu")


def edges(picture: np.ndarray, axis: int) -> float:
    """How much the opposite edges differ, out of 255."""
    return float(np.abs(picture.take(0, axis) - picture.take(-1, axis)).mean())


def call(seed: int, *, tiling: bool, **more: object) -> Call:
    return PocketCall(checkpoint=CHECKPOINT, prompt="a castle at sunset", steps=6, seed=seed, tiling=tiling, **more)  # type: ignore[arg-type]


def pixels(backend: DiffusersBackend, one: Call) -> np.ndarray:
    return np.asarray(backend.draw(one).image, dtype=float)


@pytest.mark.parametrize("seed", [0, 1])
def test_opposite_edges_meet(backend: DiffusersBackend, seed: int) -> None:
    """A plain sunset has another colour at the top than at the bottom."""
    plain, tiled = (pixels(backend, call(seed, tiling=tiling)) for tiling in (False, True))
    assert edges(plain, 0) > 60
    assert max(edges(tiled, 0), edges(tiled, 1)) < 25


def test_the_next_picture_is_what_it_always_was(backend: DiffusersBackend) -> None:
    before = backend.draw(call(1, tiling=False)).image.tobytes()
    tiled = backend.draw(call(1, tiling=True)).image.tobytes()
    assert tiled != before
    assert backend.draw(call(1, tiling=False)).image.tobytes() == before
    assert backend.draw(call(1, tiling=True)).image.tobytes() == tiled


def test_a_drawing_that_fails_leaves_the_edges_as_they_were(backend: DiffusersBackend) -> None:
    before = backend.draw(call(2, tiling=False)).image.tobytes()

    def fail(_: object) -> None:
        raise LookupError

    with pytest.raises(LookupError):
        backend.draw(call(2, tiling=True), on_step=fail)
    assert backend.draw(call(2, tiling=False)).image.tobytes() == before


def test_a_hires_fix_stays_tiled(backend: DiffusersBackend) -> None:
    fix = HiresFix(upscale=1.5, upscaler="Lanczos", denoising_strength=0.3)
    plain, tiled = (pixels(backend, call(1, tiling=tiling, hires=fix)) for tiling in (False, True))
    assert plain.shape == tiled.shape == (96, 96, 3)
    assert edges(plain, 0) > 60
    assert edges(tiled, 0) < 25


def test_every_convolution_sees_around_the_edge_and_only_meanwhile(tiny_world: TinyWorld) -> None:
    """Shifting what the denoiser sees around the edge shifts what it says, which zeros at the edges would break."""
    pipeline = tiny_pipeline(tiny_modules(3, CLIPTokenizer.from_pretrained(tiny_world.config / "tokenizer")))
    latents = torch.randn(1, 4, 8, 8, generator=torch.Generator().manual_seed(5))
    text = torch.randn(1, 32, 96, generator=torch.Generator().manual_seed(6))

    def off_by_shifting() -> float:
        with torch.no_grad():
            left, right = (
                pipeline.unet(shifted, 500, encoder_hidden_states=text).sample.roll((-back, -back), (2, 3))
                for shifted, back in ((latents, 0), (latents.roll((4, 4), (2, 3)), 4))
            )
        return float((left - right).abs().max())

    assert off_by_shifting() > 0.01
    with seamless(pipeline, wanted=True):
        assert off_by_shifting() < 1e-4
    assert off_by_shifting() > 0.01
