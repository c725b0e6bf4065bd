from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import pytest

from diffagent_tools.artifacts import ArtifactStore
from diffagent_tools.serving.page.edited_calls import CallDrawer, edited_call, networks_text
from tests.graphs.paper_world import ANIMALS, CATALOG, OLD_STYLE, PIXEL, BrightnessReward, PaperBackend
from tool_specs.calls import HiresFix, Variation, starting_from, with_unplanned
from tool_specs.exceptions import BackendError, CallError, CatalogError


def call(networks: str = "", model: str = ANIMALS, before: Any = None, **values: object) -> Any:
    return edited_call(CATALOG, before or {}, model, networks, **{"prompt": "a fox", **values})


def test_what_stands_in_the_form_becomes_the_call() -> None:
    edited = call(f"{PIXEL} 0.5", steps=7.0, seed=None)
    assert (edited.checkpoint, edited.steps, edited.seed) == (ANIMALS, 7, None)
    assert networks_text(edited.model_dump(mode="json")["loras"]) == f"{PIXEL} 0.5"


def test_a_network_without_a_weight_takes_the_recommended_one() -> None:
    assert call(f"\n {PIXEL}\n").loras[0].weight == 0.9


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"steps": 0}, "steps=0 is too small"),
        ({"steps": 2.5}, "steps=2.5 is not a whole number"),
        ({"width": None}, "width=None is not a whole number"),
        ({"prompt": " "}, "prompt"),
        ({"networks": f"{PIXEL} strong"}, "the weight 'strong'"),
        ({"networks": f"{PIXEL} nan"}, "the weight 'nan'"),
        ({"networks": f"{PIXEL} 3"}, "a number from -2 to 2"),
        ({"networks": OLD_STYLE}, OLD_STYLE),
        ({"model": PIXEL}, "only a checkpoint draws"),
    ],
)
def test_what_is_wrong_is_named(given: dict[str, object], said: str) -> None:
    with pytest.raises(CallError) as caught:
        call(**given)  # type: ignore[arg-type]
    assert said in str(caught.value)


def test_a_model_that_is_not_there_brings_up_the_nearest() -> None:
    with pytest.raises(CatalogError, match="Paper Animals"):
        call(model="paper animal")


def test_an_image_to_image_call_begins_where_it_began() -> None:
    before = starting_from(call(steps=10), "a" * 64, 0.5).model_dump(mode="json")
    assert call(before=before, steps=20).init_image == "a" * 64


def test_an_edited_call_is_drawn_and_judged(tmp_path: Path) -> None:
    store, told = ArtifactStore(tmp_path), []
    backend = PaperBackend(tmp_path / "log", levels=(0.7,))
    drawer = CallDrawer(catalog=CATALOG, backend=backend, reward=BrightnessReward(), store=store)
    attempt = drawer.draw(call(steps=3), "a fox", 4, cancel=threading.Event(), emit=told.append)
    assert [event["step"] for event in told] == [1, 2, 3]
    assert (attempt.n, attempt.verdict) == (4, "edited")
    assert attempt.reward == pytest.approx(0.7, abs=0.01)
    assert attempt.picture
    assert store.read(attempt.picture.sha256)


def test_a_drawing_that_fails_is_an_attempt_that_says_why(tmp_path: Path) -> None:
    backend = PaperBackend(tmp_path / "log", faults={1: lambda: BackendError("out of paint")})
    drawer = CallDrawer(
        catalog=CATALOG, backend=backend, reward=BrightnessReward(), store=ArtifactStore(tmp_path / "store")
    )
    attempt = drawer.draw(call(), "a fox", 1, cancel=threading.Event(), emit=lambda event: None)
    assert (attempt.verdict, attempt.picture, attempt.reason) == ("fault", None, "out of paint")


def test_an_edit_keeps_what_planners_do_not_write() -> None:
    given = {"hires": {"upscale": 1.5}, "variation": {"seed": 4, "strength": 0.3}, "tiling": True}
    before = with_unplanned(call(steps=10), given).model_dump(mode="json")
    edited = call(before=before, steps=20)
    assert edited.hires == HiresFix(upscale=1.5)
    assert (edited.variation, edited.tiling) == (Variation(seed=4, strength=0.3), True)
    assert edited.steps == 20
