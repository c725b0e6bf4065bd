from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial

import pytest

from diffagent_tools.backends import Backend, Drawing, MemoryBudget, StepProgress
from diffagent_tools.backends.queued import QueuedBackend
from tests.diffagent_tools.conftest import Studio
from tests.waiting import until
from tool_specs.calls import Call, PocketCall
from tool_specs.exceptions import CallError, DrawingCancelled

A, B, C = "civitai:1@101", "civitai:2@102", "civitai:3@103"


def call_of(checkpoint: str, **changes: object) -> PocketCall:
    fields: dict[str, object] = {"checkpoint": checkpoint, "prompt": "a fox", "steps": 2, "width": 32, "height": 32}
    return PocketCall.model_validate(fields | changes)


class Held(Backend):
    """A backend that draws with another one, remembers what, and holds the first drawing back until it is let go."""

    def __init__(self, backend: Backend) -> None:
        self._backend = backend
        self.drawn: list[Call] = []
        self.go_on = threading.Event()
        self.has_begun = threading.Event()

    def draw(
        self,
        call: Call,
        *,
        on_step: Callable[[StepProgress], None] | None = None,
        cancel: threading.Event | None = None,
    ) -> Drawing:
        self.drawn.append(call)
        self.has_begun.set()
        assert self.go_on.wait(20)
        return self._backend.draw(call, on_step=on_step, cancel=cancel)


@pytest.fixture
def held(studio: Studio) -> Held:
    return Held(studio.backend())


def _has_waiting(backend: QueuedBackend, count: int) -> bool:
    return backend.waiting == count


def drawn_in_order(held: Held, backend: QueuedBackend, checkpoints: str) -> str:
    """The order in which calls are drawn that arrive in this one, while the first is being drawn."""
    names = {A: "a", B: "b"}
    ids = {name: spec for spec, name in names.items()}
    with ThreadPoolExecutor(len(checkpoints)) as threads:
        done: list[Future[Drawing]] = []
        for number, name in enumerate(checkpoints):
            done.append(threads.submit(backend.draw, call_of(ids[name], seed=number)))
            until(held.has_begun.is_set)
            until(partial(_has_waiting, backend, number))
        held.go_on.set()
        assert [one.result().call.seed for one in done] == list(range(len(checkpoints)))
    return "".join(names[call.checkpoint] for call in held.drawn)


def test_calls_for_the_loaded_checkpoint_go_first(held: Held) -> None:
    assert drawn_in_order(held, QueuedBackend(held), "abababab") == "aaaabbbb"


@pytest.mark.parametrize(("patience", "order"), [(0, "abababab"), (1, "aabbbaab"), (2, "aaabbbba")])
def test_patience_ends(held: Held, patience: int, order: str) -> None:
    assert drawn_in_order(held, QueuedBackend(held, patience=patience), "abababab") == order


def test_equal_calls_are_drawn_once_and_everybody_gets_a_picture_and_the_steps(held: Held) -> None:
    backend = QueuedBackend(held)
    steps: list[StepProgress] = []
    with ThreadPoolExecutor(3) as threads:
        first = threads.submit(backend.draw, call_of(A, seed=1))
        until(held.has_begun.is_set)
        others = [threads.submit(backend.draw, call_of(A, seed=1), on_step=steps.append) for _ in range(2)]
        until(lambda: not any(one.done() for one in others))
        held.go_on.set()
        pictures = [one.result().image for one in (first, *others)]
    assert len(held.drawn) == 1
    assert len({picture.tobytes() for picture in pictures}) == 1
    pictures[0].putpixel((0, 0), (1, 2, 3))
    assert pictures[0].tobytes() != pictures[1].tobytes() == pictures[2].tobytes()
    assert steps[-1] == StepProgress(2, 2)
    backend.draw(call_of(A, seed=1))
    assert len(held.drawn) == 2


def test_calls_without_a_seed_are_never_the_same(held: Held) -> None:
    backend = QueuedBackend(held)
    held.go_on.set()
    with ThreadPoolExecutor(2) as threads:
        seeds = [one.call.seed for one in threads.map(backend.draw, [call_of(A)] * 2)]
    assert len(held.drawn) == 2
    assert seeds[0] != seeds[1]


def test_who_shares_a_drawing_that_is_cancelled_draws_it_anew(held: Held) -> None:
    backend, cancel = QueuedBackend(held), threading.Event()
    with ThreadPoolExecutor(2) as threads:
        first = threads.submit(backend.draw, call_of(A, seed=1), cancel=cancel)
        until(held.has_begun.is_set)
        second = threads.submit(backend.draw, call_of(A, seed=1))
        cancel.set()
        held.go_on.set()
        with pytest.raises(DrawingCancelled):
            first.result()
        assert second.result().call.seed == 1
    assert len(held.drawn) == 2


@pytest.mark.parametrize("same", [True, False])
def test_who_waits_can_be_cancelled_without_harm_to_others(held: Held, same: bool) -> None:
    backend, cancel = QueuedBackend(held), threading.Event()
    with ThreadPoolExecutor(2) as threads:
        first = threads.submit(backend.draw, call_of(A, seed=1))
        until(held.has_begun.is_set)
        second = threads.submit(backend.draw, call_of(A if same else B, seed=1), cancel=cancel)
        cancel.set()
        with pytest.raises(DrawingCancelled, match="while it waited"):
            second.result(20)
        assert backend.waiting == 0
        held.go_on.set()
        assert first.result().call.seed == 1


def test_a_call_that_fails_fails_alone(held: Held) -> None:
    backend = QueuedBackend(held)
    with ThreadPoolExecutor(3) as threads:
        bad = threads.submit(backend.draw, call_of("civitai:99@199", seed=1))
        until(held.has_begun.is_set)
        like_it = threads.submit(backend.draw, call_of("civitai:99@199", seed=1))
        good = threads.submit(backend.draw, call_of(A, seed=1))
        held.go_on.set()
        for one in (bad, like_it):
            with pytest.raises(CallError, match="civitai:99@199"):
                one.result()
        assert good.result().call.checkpoint == A


def test_a_mixed_run_loads_each_checkpoint_once(studio: Studio) -> None:
    """With room for one checkpoint at a time."""
    room_for_one = MemoryBudget(ram=0)
    calls = [call_of((A, B)[number % 2], seed=number) for number in range(12)]
    alone = studio.backend(memory=room_for_one)
    pictures = [alone.draw(call).image.tobytes() for call in calls]
    assert alone.checkpoint_loads == 12
    shared = studio.backend(memory=room_for_one)
    backend = QueuedBackend(shared)
    with ThreadPoolExecutor(12) as threads:
        assert [one.image.tobytes() for one in threads.map(backend.draw, calls)] == pictures
    assert shared.checkpoint_loads <= 4
