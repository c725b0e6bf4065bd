from __future__ import annotations

import time
from collections.abc import AsyncIterator, Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import openai
import pytest
from openai.types import ImagesResponse
from starlette.applications import Starlette

from diffagent_tools.serving.api.server import base_url, listening
from diffagent_tools.serving.api.settings import ServerSettings
from tests.diffagent_tools.serving.api.running import Running, paper_server, running
from tests.graphs.paper_world import ANIMALS, FOOD, PaperBackend
from tool_specs.exceptions import ConfigError

Until = Callable[[Callable[[], bool]], None]


def waiting(server: Running) -> float:
    return server.metric("diffagent_drawings_waiting")


def in_thread(
    pool: ThreadPoolExecutor, server: Running, prompt: str = "a fox", client: str = ""
) -> Future[ImagesResponse]:
    headers = {"X-Forwarded-For": client} if client else {}
    return pool.submit(server.client(default_headers=headers).images.generate, prompt=prompt)


@pytest.mark.parametrize("stream", [False, True])
def test_when_the_client_leaves_the_drawing_stops(
    tmp_path: Path, backend: PaperBackend, until: Until, stream: bool
) -> None:
    backend.step_seconds = 0.5
    with paper_server(tmp_path, backend) as server:
        body = {"prompt": "a fox", "stream": stream}
        with pytest.raises(httpx.ReadTimeout):
            httpx.post(f"{server.url}/images/generations", json=body, timeout=httpx.Timeout(10, read=0.7))
        until(lambda: server.metric('diffagent_drawings_total{outcome="stopped"}') == 1)
        assert server.metric("diffagent_drawings_running") == 0
        backend.step_seconds = 0.0
        server.client().images.generate(prompt="a fox")
        assert len(backend.drawn) == 2
        assert not list(server.store.folder.glob("*/*.part"))


def test_who_leaves_while_waiting_is_not_drawn(tmp_path: Path, backend: PaperBackend, until: Until) -> None:
    backend.step_seconds = 0.3
    with paper_server(tmp_path, backend) as server, ThreadPoolExecutor() as pool:
        first = in_thread(pool, server)
        until(lambda: len(backend.drawn) == 1)
        with pytest.raises(httpx.ReadTimeout):
            httpx.post(f"{server.url}/images/generations", json={"prompt": "a pizza"}, timeout=0.3)
        until(lambda: waiting(server) == 0)
        assert first.result(30).data
        assert len(backend.drawn) == 1


def test_a_full_queue_answers_429_and_the_client_comes_again(
    tmp_path: Path, backend: PaperBackend, until: Until
) -> None:
    backend.step_seconds = 0.1
    with paper_server(tmp_path, backend, queue=1, max_pictures=1) as server, ThreadPoolExecutor() as pool:
        drawn = [in_thread(pool, server)]
        until(lambda: len(backend.drawn) == 1)
        drawn.append(in_thread(pool, server))
        until(lambda: waiting(server) == 1)
        with pytest.raises(openai.RateLimitError) as raised:
            server.client().images.generate(prompt="a fox")
        assert 1 <= int(raised.value.response.headers["retry-after"]) <= 60
        assert raised.value.code == "queue_full"
        assert server.client(max_retries=5).images.generate(prompt="a fox").data
        assert all(one.result(30).data for one in drawn)


def test_one_client_cannot_keep_another_from_its_turn(tmp_path: Path, backend: PaperBackend, until: Until) -> None:
    backend.step_seconds = 0.1
    with paper_server(tmp_path, backend) as server, ThreadPoolExecutor(8) as pool:
        done = [in_thread(pool, server, "a fox", "203.0.113.1") for _ in range(5)]
        until(lambda: waiting(server) == 4)
        done.append(in_thread(pool, server, "a pizza", "203.0.113.2"))
        assert all(one.result(30).data for one in done)
    drawn = [line.split()[0] for line in backend.drawn]
    assert drawn.index(FOOD) <= 2, "in the order of arrival it would be the last"
    assert drawn.count(ANIMALS) == 5


def test_a_request_without_a_picture_by_its_deadline_is_ended(tmp_path: Path, backend: PaperBackend) -> None:
    backend.step_seconds = 0.4
    with paper_server(tmp_path, backend, deadline_seconds=0.6) as server:
        begun = time.monotonic()
        with pytest.raises(openai.InternalServerError, match=r"no picture after 0\.6 s") as raised:
            server.client(max_retries=2).images.generate(prompt="a fox")
        assert raised.value.status_code == 504
        assert time.monotonic() - begun < 1.5
    assert len(backend.drawn) == 1


def test_at_the_deadline_the_best_picture_so_far_is_the_answer(tmp_path: Path, backend: PaperBackend) -> None:
    backend.levels = (0.3,)
    backend.step_seconds = 0.15
    with paper_server(tmp_path, backend, deadline_seconds=1.2) as server:
        assert server.client().images.generate(prompt="a fox").data
        words = server.client().chat.completions.create(
            model="diffagent", messages=[{"role": "user", "content": "a fox"}]
        )
    assert "reward 0.30" in (words.choices[0].message.content or "")


def test_stopping_lets_what_is_drawn_end_and_sends_away_who_waits(
    tmp_path: Path, backend: PaperBackend, until: Until
) -> None:
    backend.step_seconds = 0.3
    with ThreadPoolExecutor() as pool, paper_server(tmp_path, backend) as server:
        first = in_thread(pool, server)
        until(lambda: len(backend.drawn) == 1)
        second = in_thread(pool, server)
        until(lambda: waiting(server) == 1)
        server.server.should_exit = True
        with pytest.raises(openai.InternalServerError, match="being stopped"):
            second.result(30)
        assert first.result(30).data
        assert len(backend.drawn) == 1


def test_after_the_time_of_grace_the_drawing_is_stopped(tmp_path: Path, backend: PaperBackend, until: Until) -> None:
    backend.step_seconds = 1.0
    with ThreadPoolExecutor() as pool, paper_server(tmp_path, backend, grace_seconds=0.2) as server:
        first = in_thread(pool, server)
        until(lambda: len(backend.drawn) == 1)
        server.server.should_exit = True
        begun = time.monotonic()
        with pytest.raises(openai.InternalServerError) as raised:
            first.result(30)
        assert raised.value.status_code == 503
        assert time.monotonic() - begun < 3.0


def test_numbers_are_counted_by_route_and_outcome(paper: Running) -> None:
    paper.client().images.generate(prompt="a fox")
    httpx.get(f"{paper.root}/no/such/page")
    route = 'diffagent_requests_total{method="POST",route="/v1/images/generations",status="200"}'
    assert paper.metric(route) == 1
    assert paper.metric('diffagent_requests_total{method="GET",route="other",status="404"}') == 1
    assert paper.metric('diffagent_drawings_total{outcome="accepted"}') == 1
    assert paper.metric("diffagent_drawing_seconds_count") == 1


def test_mounted_applications_start_and_stop_with_it(tmp_path: Path, backend: PaperBackend) -> None:
    told: list[str] = []

    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        told.append("started")
        yield
        told.append("stopped")

    with paper_server(tmp_path, backend) as server:
        app = server.server.config.app
    app.mount("/inner", Starlette(lifespan=lifespan))  # type: ignore[union-attr]
    with running(app, server.store):  # type: ignore[arg-type]
        assert told == ["started"]
    assert told == ["started", "stopped"]


def test_an_address_that_is_taken_is_named() -> None:
    with listening(ServerSettings(port=0)) as taken:
        port = taken.getsockname()[1]
        assert base_url(taken) == f"http://127.0.0.1:{port}/v1"
        with pytest.raises(ConfigError, match=f"port {port}"):
            listening(ServerSettings(port=port))
