"""Drawing with less memory: what is tried in which order, and that each way draws the picture."""

from __future__ import annotations

import json
import logging
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from diffusers import AutoencoderKL, UNet2DConditionModel
from safetensors.torch import save_file

from diffagent_tools.backends import DiffusersBackend, MemoryBudget
from diffagent_tools.backends.fallbacks import FALLBACKS, LARGEST_BATCH, Economy, step_down
from tests.diffagent_tools.conftest import Studio
from tests.tiny_world import tiny_call
from tool_specs.calls import LoraUse, PocketCall
from tool_specs.exceptions import BackendError

FIRST, SECOND = "civitai:1@101", "civitai:2@102"
OUT_OF_MEMORY = "CUDA out of memory. Tried to allocate 2.00 GiB"
BESIDE_RAM = "cpu:0"
"""The CPU as a device of its own, beside which weights wait in RAM."""


_call = partial(tiny_call, steps=2)


def _way_down(*, pictures: int, is_loading: bool, offloads: bool, others: bool) -> list[str]:
    said, now = [], Economy()
    while True:
        lower = step_down(
            now, pictures=min(pictures, now.batch), is_loading=is_loading, offloads=offloads, others=others
        )
        if lower is None:
            return said
        now = lower
        said.append(f"{now.fallback.said}: {min(pictures, now.batch)}")


ALONE, FEWER, TILED, SLICED, MODEL, LAYER = (fallback.said for fallback in FALLBACKS[1:])


@pytest.mark.parametrize(
    ("situation", "expected"),
    [
        (
            {"pictures": 4, "is_loading": False, "offloads": True, "others": True},
            [f"{ALONE}: 4", f"{FEWER}: 2", *(f"{said}: 1" for said in (FEWER, TILED, SLICED, MODEL, LAYER))],
        ),
        ({"pictures": 1, "is_loading": False, "offloads": False, "others": False}, [f"{TILED}: 1", f"{SLICED}: 1"]),
        (
            {"pictures": 2, "is_loading": True, "offloads": True, "others": True},
            [f"{ALONE}: 2", f"{MODEL}: 2", f"{LAYER}: 2"],
        ),
        ({"pictures": 2, "is_loading": True, "offloads": False, "others": False}, []),
    ],
)
def test_only_what_can_help_is_tried(situation: dict[str, int], expected: list[str]) -> None:
    assert _way_down(**situation) == expected  # type: ignore[arg-type]


def test_a_batch_is_halved_first_where_a_single_picture_has_gone_further_down() -> None:
    tiled = Economy(level=3)
    assert tiled.fallback.said == TILED
    lower = step_down(tiled, pictures=8, is_loading=False, offloads=True, others=False)
    assert lower == Economy(level=3, batch=4)


@contextmanager
def _memory(monkeypatch: pytest.MonkeyPatch, enough: Callable[[UNet2DConditionModel, int], bool]) -> Iterator[None]:
    """Memory runs out in the denoiser, unless there is enough for it and the latent pixels of a batch."""
    forward = UNet2DConditionModel.forward

    def failing(unet: UNet2DConditionModel, sample: torch.Tensor, *args: object, **kwargs: object) -> object:
        if not enough(unet, sample.shape[0] * sample.shape[2] * sample.shape[3]):
            raise torch.OutOfMemoryError(OUT_OF_MEMORY)
        return forward(unet, sample, *args, **kwargs)

    with monkeypatch.context() as short:
        short.setattr(UNet2DConditionModel, "forward", failing)
        yield


def _warnings(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [each.message.split("drawn again, ")[1] for each in caplog.records if "out of memory" in each.message]


def test_a_batch_is_halved_until_it_fits_and_that_is_remembered(
    studio: Studio, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Memory for two pictures of 32×32, each drawn with and without the prompt."""
    backend = studio.backend()
    calls = [_call(seed=seed) for seed in range(6)]
    alone = [backend.draw(call).image for call in calls]
    with _memory(monkeypatch, lambda _, pixels: pixels <= 2 * 2 * 8 * 8):
        first = backend.draw_batch(calls)
        assert _warnings(caplog) == [f"{FEWER}, 3 together", f"{FEWER}, 1 together"]
        caplog.clear()
        loads = backend.checkpoint_loads
        second = backend.draw_batch(calls)
        assert (_warnings(caplog), backend.checkpoint_loads) == ([], loads)
        assert [one.image.tobytes() for one in first] == [one.image.tobytes() for one in second]
    assert [one.call for one in first] == calls
    for one, image in zip(first, alone, strict=True):
        assert np.abs(np.asarray(one.image, dtype=int) - np.asarray(image, dtype=int)).max() <= 1


def test_another_size_is_drawn_as_usual(studio: Studio, monkeypatch: pytest.MonkeyPatch) -> None:
    backend = studio.backend()
    small = backend.draw(_call()).image.tobytes()
    tiled: list[bool] = []
    decode = AutoencoderKL.decode

    def seen(vae: AutoencoderKL, latents: torch.Tensor, *args: object, **kwargs: object) -> object:
        tiled.append(vae.use_tiling)
        if latents.shape[-1] > 8 and not vae.use_tiling:
            raise torch.OutOfMemoryError(OUT_OF_MEMORY)
        return decode(vae, latents, *args, **kwargs)

    monkeypatch.setattr(AutoencoderKL, "decode", seen)
    backend.draw(_call(width=64))
    backend.draw(_call(width=64))
    assert backend.draw(_call()).image.tobytes() == small
    assert tiled == [False, True, True, False]


@pytest.mark.parametrize("fallback", [MODEL, LAYER])
def test_weights_wait_in_ram_when_nothing_else_helps(
    studio: Studio, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, fallback: str
) -> None:
    """With networks of every kind in place, which are out again afterwards."""
    layer = "lora_te_text_model_encoder_layers_0_self_attn_q_proj"
    random = torch.Generator().manual_seed(1)
    parts = {"w1_a": (96, 4), "w1_b": (4, 96), "w2_a": (96, 4), "w2_b": (4, 96)}
    merged = {f"{layer}.hada_{part}": torch.randn(shape, generator=random) for part, shape in parts.items()}
    save_file(merged, tmp_path / "merged.safetensors")
    ids = (*studio.loras, studio.shelf.put(40, "LORA", tmp_path / "merged.safetensors"))
    calls = [
        _call(),
        _call(loras=tuple(LoraUse(id=each, weight=0.7) for each in ids)),
        _call(prompt="a (fox:1.3) in mintcolor", loras=(LoraUse(id=studio.embedding),)),
        _call(hires={"upscale": 2.0, "denoising_strength": 0.5}),
    ]
    usual = studio.backend()
    expected = [usual.draw(call).image for call in calls]
    backend = studio.backend(device=BESIDE_RAM)
    backend.draw(_call(checkpoint=SECOND))

    def enough(unet: UNet2DConditionModel, pixels: int) -> bool:
        if fallback == MODEL:
            return hasattr(unet, "_hf_hook")
        hooked = (layer._diffusers_hook.hooks for layer in unet.modules() if hasattr(layer, "_diffusers_hook"))
        return any("group_offloading" in hooks for hooks in hooked)

    with _memory(monkeypatch, enough):
        drawn = [backend.draw(call).image for call in calls]
    assert _warnings(caplog)[0] == f"{ALONE}, 1 together"
    assert f"{fallback}, 1 together" in _warnings(caplog)
    for image, other in zip(drawn, expected, strict=True):
        assert np.abs(np.asarray(image, dtype=int) - np.asarray(other, dtype=int)).max() <= 2
    again = studio.backend(device=BESIDE_RAM)
    assert again.draw(calls[0]).image.tobytes() == expected[0].tobytes()
    assert _drawn_after(backend, calls[0]) == expected[0].tobytes()


def _drawn_after(backend: DiffusersBackend, call: PocketCall) -> bytes:
    """The picture once memory is there again."""
    assert backend._engine is not None
    backend._engine._economies.clear()
    return backend.draw(call).image.tobytes()


def test_memory_that_runs_out_while_loading_leaves_room_first(
    studio: Studio, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    backend = studio.backend(memory=MemoryBudget(ram=10**9))
    backend.draw(_call(checkpoint=SECOND))

    def failing(*args: object, **kwargs: object) -> object:
        raise torch.OutOfMemoryError(OUT_OF_MEMORY)

    caplog.set_level(logging.WARNING)
    monkeypatch.setattr(UNet2DConditionModel, "from_single_file", failing)
    with pytest.raises(BackendError, match="out of memory while drawing"):
        backend.draw(_call())
    assert _warnings(caplog) == [f"{ALONE}, 1 together"]


def test_a_batch_is_at_first_no_larger_than_devices_can_use() -> None:
    assert Economy() == Economy(0, LARGEST_BATCH)


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="only Linux limits the memory of a process this way")
def test_a_batch_that_memory_is_really_too_small_for() -> None:
    """Twenty megabytes are too few for eight pictures of 128×128, of which one takes as many."""
    command = [sys.executable, "-m", "tests.short_memory", "20"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=Path(__file__).parents[3])
    assert done.returncode == 0, done.stderr[-2000:]
    told = json.loads(done.stdout)
    assert (told["failed"], told["drawn"]) == ("", list(range(8)))
    assert "can't allocate memory" in told["said"][0]
    assert told["said"][0].endswith(f"drawn again, {FEWER}, 4 together")
