"""What the caller sees of a replica's messages, whatever becomes of the replica."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from diffagent_tools.backends.protocol import StepProgress
from diffagent_tools.backends.ray.backend import RayBackend
from diffagent_tools.backends.ray.messages import Message, Pictures, Refusal, ReplicaReport
from tests.ray_cluster import pocket_call
from tool_specs.exceptions import BackendError, CallError

exceptions = pytest.importorskip("ray.exceptions", reason="needs Ray: pip install 'diffagent-tools[ray]'")

CALL = pocket_call()


def picture(drawings: int = 1) -> Pictures:
    return Pictures([np.zeros((8, 8, 3), dtype=np.uint8)], [CALL], ReplicaReport("a", 1, drawings, 0))


class Answer:
    """A response of Serve: messages, then an error of Ray or nothing."""

    def __init__(self, *messages: Message | BaseException) -> None:
        self._messages = messages
        self.is_cancelled = False

    def __iter__(self) -> Iterator[Message]:
        for message in self._messages:
            if isinstance(message, BaseException):
                raise message
            yield message

    def cancel(self) -> None:
        self.is_cancelled = True


class Replicas:
    """A handle whose replicas give these answers, one after the other."""

    def __init__(self, answers: Sequence[Answer]) -> None:
        self.answers = answers
        self.sent: list[object] = []
        self.options_given: dict[str, object] = {}
        self.draw = SimpleNamespace(remote=self._draw)

    def options(self, **options: object) -> Replicas:
        self.options_given = options
        return self

    def _draw(self, calls: list[object], starts: object) -> Answer:
        self.sent += calls
        return self.answers[len(self.sent) - 1]


def drawing_on(monkeypatch: pytest.MonkeyPatch, *answers: Answer, **options: Any) -> tuple[RayBackend, Replicas]:
    replicas = Replicas(answers)
    monkeypatch.setattr("diffagent_tools.backends.ray.backend.application_handle", lambda *_: replicas)
    return RayBackend("local", **options), replicas


@pytest.mark.parametrize(
    "loss",
    [
        exceptions.ActorDiedError(),
        exceptions.ActorUnavailableError("network", None),
        exceptions.ObjectLostError("ff" * 28, "", ""),
        exceptions.TaskCancelledError(),
        None,
    ],
    ids=lambda loss: type(loss).__name__,
)
def test_a_call_whose_replica_is_lost_is_drawn_again(monkeypatch: pytest.MonkeyPatch, loss: Exception | None) -> None:
    lost = Answer(StepProgress(1, 2), *([loss] if loss else []))
    backend, replicas = drawing_on(monkeypatch, lost, Answer(StepProgress(1, 2), StepProgress(2, 2), picture()))
    steps: list[int] = []

    drawing = backend.draw(CALL.model_copy(update={"seed": None}), on_step=lambda progress: steps.append(progress.step))

    assert drawing.image.size == (8, 8)
    assert steps == [1, 1, 2]
    assert replicas.sent[0] == replicas.sent[1]
    assert replicas.sent[0].seed is not None  # type: ignore[attr-defined]
    assert replicas.options_given == {"stream": True, "multiplexed_model_id": CALL.checkpoint}
    assert lost.is_cancelled


def test_it_is_not_drawn_again_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    answers = [Answer(exceptions.ActorDiedError()) for _ in range(5)]
    backend, replicas = drawing_on(monkeypatch, *answers, redraws=2)

    with pytest.raises(BackendError, match=r"failed: 3 replicas were lost while they drew it.*`serve status`"):
        backend.draw(CALL)
    assert len(replicas.sent) == 3


def test_an_error_of_the_call_is_not_drawn_again(monkeypatch: pytest.MonkeyPatch) -> None:
    error = CallError("no such model")
    backend, replicas = drawing_on(monkeypatch, Answer(Refusal(error)))

    with pytest.raises(CallError) as raised:
        backend.draw(CALL)
    assert raised.value is error
    assert len(replicas.sent) == 1


def test_an_error_of_ray_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    backend, _ = drawing_on(monkeypatch, Answer(exceptions.OutOfMemoryError("node full\nmore\n")))

    with pytest.raises(BackendError) as raised:
        backend.draw(CALL)
    assert str(raised.value) == f"drawing {CALL.checkpoint} failed on a replica: OutOfMemoryError: node full"
    assert isinstance(raised.value.__cause__, exceptions.OutOfMemoryError)


def test_the_newest_report_of_a_replica_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    backend, _ = drawing_on(monkeypatch, *(Answer(picture(drawings)) for drawings in (2, 1, 3)))
    for _ in range(2):
        backend.draw(CALL)
    assert backend.reports == [ReplicaReport("a", 1, 2, 0)]
    backend.draw(CALL)
    assert backend.reports == [ReplicaReport("a", 1, 3, 0)]
