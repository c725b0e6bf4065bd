from __future__ import annotations

import threading

import numpy as np
import pytest
from PIL.Image import Image

from diffagent_tools.artifacts import ArtifactStore
from diffagent_tools.backends import Backend, DiffusersBackend, Drawing, QueuedBackend, StepProgress
from diffagent_tools.backends.batches import passes
from diffagent_tools.backends.reported import ReportedBackend
from tests.diffagent_tools.conftest import Studio
from tests.tiny_world import tiny_call
from tool_specs.calls import Call, LoraUse
from tool_specs.exceptions import BackendError, CallError, DrawingCancelled

FIRST, SECOND = "civitai:1@101", "civitai:2@102"
ROUNDING = 1
"""Of 255: what a value of a picture may differ by that was denoised together with others."""


def _difference(one: Image, other: Image) -> int:
    return int(np.abs(np.asarray(one, dtype=int) - np.asarray(other, dtype=int)).max())


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"sampler": "Euler a"},
        {"sampler": "DPM++ 2M SDE Karras"},
        {"sampler": "DPM++ SDE Karras"},
        {"prompt": "a (fox:1.3)", "negative_prompt": "a cat"},
        {"loras": (LoraUse(id="civitai:11@111", weight=0.8), LoraUse(id="civitai:12@112", weight=0.5))},
        {"variation": {"seed": 3, "strength": 0.4}},
        {"tiling": True},
        {"hires": {"upscale": 2.0, "denoising_strength": 0.6}},
        {"hires": {"upscale": 2.0, "denoising_strength": 0.6, "upscaler": "Latent"}, "sampler": "Euler a"},
    ],
    ids=str,
)
def test_pictures_drawn_together_are_those_drawn_alone(
    shared_backend: DiffusersBackend, changes: dict[str, object]
) -> None:
    calls = [tiny_call(seed=seed, **changes) for seed in (1, 2, 3)]
    steps: list[StepProgress] = []
    together = shared_backend.draw_batch(calls, on_step=steps.append)
    assert [one.step for one in steps] == list(range(1, steps[-1].total + 1))
    assert [one.call for one in together] == calls
    for drawing in together:
        assert _difference(drawing.image, shared_backend.draw(drawing.call).image) <= ROUNDING
    assert len({drawing.image.tobytes() for drawing in together}) == 3


def test_pictures_that_begin_from_another(studio: Studio, tmp_path: object) -> None:
    store = ArtifactStore(f"{tmp_path}/store")
    backend = studio.backend(pictures=store.load)
    first = backend.draw(tiny_call())
    begun = store.save(first.image, first.call, infotext="")["sha256"]
    calls = [tiny_call(seed=seed, init_image=begun, denoising_strength=0.8, steps=5) for seed in (1, 2)]
    for drawing in backend.draw_batch(calls):
        assert _difference(drawing.image, backend.draw(drawing.call).image) <= ROUNDING


def test_calls_that_differ_otherwise_come_back_in_their_order(studio: Studio) -> None:
    """Those of one checkpoint are drawn before the next one, and those that differ by their seeds alone together."""
    backend = studio.backend()
    calls = [
        tiny_call(seed=1),
        tiny_call(seed=1, checkpoint=SECOND),
        tiny_call(seed=1, steps=2),
        tiny_call(seed=2),
        tiny_call(seed=None),
        tiny_call(seed=2, checkpoint=SECOND),
    ]
    assert list(passes(calls)) == [[0, 3, 4], [2], [1, 5]]
    steps: list[StepProgress] = []
    drawings = backend.draw_batch(calls, on_step=steps.append)
    assert [one.step for one in steps] == [1, 2, 3, 1, 2, 1, 2, 3]
    assert [one.call.model_copy(update={"seed": None}) for one in drawings] == [
        call.model_copy(update={"seed": None}) for call in calls
    ]
    assert drawings[4].call.seed not in (1, 2, None)
    for drawing in drawings:
        assert _difference(drawing.image, backend.draw(drawing.call).image) <= ROUNDING
    assert backend.checkpoint_loads == 2
    assert drawings[0].seconds < drawings[2].seconds < drawings[1].seconds


def test_no_calls_draw_nothing(shared_backend: DiffusersBackend) -> None:
    assert shared_backend.draw_batch([]) == []


def test_all_calls_are_checked_before_one_is_drawn(studio: Studio) -> None:
    backend = studio.backend()
    with pytest.raises(CallError, match="civitai:99@199"):
        backend.draw_batch([tiny_call(), tiny_call(checkpoint="civitai:99@199")])
    assert backend.checkpoint_loads == 0


def test_a_call_that_fails_ends_the_batch(studio: Studio, monkeypatch: pytest.MonkeyPatch) -> None:
    backend = studio.backend()
    expected = backend.draw(tiny_call()).image.tobytes()
    with monkeypatch.context() as broken:
        broken.setattr("diffusers.DPMSolverMultistepScheduler.step", lambda *args, **kwargs: 1 / 0)
        with pytest.raises(BackendError, match="ZeroDivisionError"):
            backend.draw_batch([tiny_call(), tiny_call(seed=8)])
    assert backend.draw(tiny_call()).image.tobytes() == expected


def test_a_batch_is_cancelled_between_two_steps(studio: Studio) -> None:
    cancel = threading.Event()
    steps: list[StepProgress] = []

    def on_step(progress: StepProgress) -> None:
        steps.append(progress)
        if len(steps) == 4:
            cancel.set()

    with pytest.raises(DrawingCancelled, match="after 1 steps"):
        studio.backend().draw_batch(
            [tiny_call(), tiny_call(seed=8), tiny_call(steps=4)], on_step=on_step, cancel=cancel
        )
    assert len(steps) == 4


class Asked:
    """A backend that remembers which batches it was asked for."""

    def __init__(self, backend: Backend) -> None:
        self._backend = backend
        self.batches: list[list[Call]] = []

    def draw(self, call: Call, **others: object) -> Drawing:
        raise NotImplementedError

    def draw_batch(self, calls: list[Call], **others: object) -> list[Drawing]:
        self.batches.append(calls)
        return self._backend.draw_batch(calls, **others)  # type: ignore[arg-type]


@pytest.mark.parametrize("wrapper", [QueuedBackend, ReportedBackend])
def test_wrappers_pass_the_calls_of_a_checkpoint_on_together(studio: Studio, wrapper: type) -> None:
    asked = Asked(studio.backend())
    calls = [tiny_call(seed=1), tiny_call(seed=1, checkpoint=SECOND), tiny_call(seed=2)]
    steps: list[StepProgress] = []
    drawings = wrapper(asked).draw_batch(calls, on_step=steps.append)
    assert [one.call for one in drawings] == calls
    assert asked.batches == [[calls[0], calls[2]], [calls[1]]]
    assert len(steps) == 6
    assert isinstance(wrapper(asked), Backend)
