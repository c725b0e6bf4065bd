from __future__ import annotations

import threading
from collections.abc import Callable

import numpy as np
import pytest
from PIL import Image

from diffagent_tools.artifacts import ArtifactStore
from diffagent_tools.backends import DiffusersBackend, StepProgress
from tests.diffagent_tools.conftest import Studio, build_studio
from tests.tiny_world import TinyWorld
from tool_specs.calls import Call, LoraUse, PocketCall, starting_from
from tool_specs.exceptions import ArtifactError, ConfigError, DrawingCancelled
from tool_specs.families import FAMILIES

CHECKPOINT, LORA, EMBEDDING = "civitai:1@101", "civitai:11@111", "civitai:21@121"
CALL = PocketCall(checkpoint=CHECKPOINT, prompt="a fox", steps=5, width=32, height=32, seed=7)


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> ArtifactStore:
    return ArtifactStore(tmp_path_factory.mktemp("artifacts"))


@pytest.fixture(scope="module")
def backend(tiny_world: TinyWorld, store: ArtifactStore) -> DiffusersBackend:
    return build_studio(tiny_world).backend(pictures=store.load)


@pytest.fixture(scope="module")
def picture(store: ArtifactStore) -> str:
    """A picture that no model has drawn: red above, blue below, of another size than the call's."""
    pixels = np.zeros((48, 64, 3), np.uint8)
    pixels[:24, :, 0], pixels[24:, :, 2] = 255, 255
    return store.save(Image.fromarray(pixels), CALL, infotext="x")["sha256"]


def distance(left: Image.Image, right: Image.Image) -> float:
    return float(np.abs(np.asarray(left, dtype=float) - np.asarray(right, dtype=float)).mean())


def test_the_strength_says_how_much_is_drawn_anew(backend: DiffusersBackend, picture: str) -> None:
    drawn = [backend.draw(starting_from(CALL, picture, strength)).image for strength in (0.2, 0.6, 1.0)]
    assert [image.size for image in drawn] == [(32, 32)] * 3
    assert distance(drawn[0], drawn[1]) > 0
    assert distance(drawn[0], drawn[2]) > distance(drawn[0], drawn[1])


def test_the_call_of_the_drawing_draws_it_again(backend: DiffusersBackend, picture: str) -> None:
    call = starting_from(CALL, picture, 0.6).model_copy(update={"seed": None})
    drawing = backend.draw(call)
    assert (drawing.call.init_image, drawing.call.denoising_strength) == (picture, 0.6)
    assert backend.draw(drawing.call).image.tobytes() == drawing.image.tobytes()
    other = drawing.call.model_copy(update={"seed": (drawing.call.seed or 0) ^ 1})
    assert backend.draw(other).image.tobytes() != drawing.image.tobytes()


def changed(call: Call, **changes: object) -> Call:
    return PocketCall.model_validate({**call.model_dump(), **changes})


@pytest.mark.parametrize(
    "change",
    [
        {"prompt": "a pear on a red background"},
        {"negative_prompt": "a cat in the snow"},
        {"cfg_scale": 9.0},
        {"sampler": "Euler a"},
        {"loras": (LoraUse(id=LORA, weight=1.0),)},
        {"prompt": "a mintcolor fox", "loras": (LoraUse(id=EMBEDDING, weight=1.0),)},
    ],
)
def test_every_parameter_and_network_acts_here_as_well(
    backend: DiffusersBackend, picture: str, change: dict[str, object]
) -> None:
    plain = starting_from(CALL, picture, 0.8)
    assert distance(backend.draw(plain).image, backend.draw(changed(plain, **change)).image) > 0


@pytest.mark.parametrize("sampler", FAMILIES["pocket"].samplers)
def test_every_kind_of_sampler_begins_in_the_middle(backend: DiffusersBackend, picture: str, sampler: str) -> None:
    seen: list[StepProgress] = []
    backend.draw(changed(starting_from(CALL, picture, 0.6), sampler=sampler), on_step=seen.append)
    total = seen[-1].total
    assert [progress.step for progress in seen] == list(range(1, total + 1))
    full: list[StepProgress] = []
    backend.draw(changed(CALL, sampler=sampler), on_step=full.append)
    assert total < full[-1].total


def test_text_to_image_is_as_before_afterwards(studio: Studio, backend: DiffusersBackend, picture: str) -> None:
    backend.draw(starting_from(CALL, picture, 0.5))
    assert backend.draw(CALL).image.tobytes() == studio.backend().draw(CALL).image.tobytes()
    assert backend.checkpoint_loads == 1


def test_it_is_cancelled_between_two_steps(backend: DiffusersBackend, picture: str) -> None:
    cancel = threading.Event()
    stop: Callable[[StepProgress], None] = lambda progress: cancel.set()  # noqa: E731
    with pytest.raises(DrawingCancelled, match="after 1 steps"):
        backend.draw(starting_from(CALL, picture, 0.9), on_step=stop, cancel=cancel)


def test_a_picture_that_cannot_be_had_is_named(studio: Studio, backend: DiffusersBackend) -> None:
    call = starting_from(CALL, "ab" * 32, 0.5)
    with pytest.raises(ArtifactError, match="abab"):
        backend.draw(call)
    with pytest.raises(ConfigError, match=r"pictures=store\.load"):
        studio.backend().draw(call)


def test_nothing_is_printed(backend: DiffusersBackend, picture: str, capfd: pytest.CaptureFixture[str]) -> None:
    backend.draw(starting_from(CALL, picture, 0.6))
    assert capfd.readouterr() == ("", "")
