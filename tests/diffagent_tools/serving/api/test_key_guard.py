from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path

import httpx
import openai
import pytest

from tests.diffagent_tools.serving.api.running import KEY, Running, paper_server
from tests.graphs.paper_world import PaperBackend


@pytest.fixture
def guarded(tmp_path: Path, backend: PaperBackend) -> Iterator[Running]:
    with paper_server(tmp_path, backend, api_key=KEY, max_body_bytes=10_000) as server:
        yield server


def test_who_knows_the_key_may_draw_and_anyone_may_fetch_what_was_given_out(guarded: Running) -> None:
    answer = guarded.client().images.generate(prompt="a fox", response_format="url")
    assert httpx.get((answer.data or [])[0].url or "").status_code == 200
    assert httpx.get(f"{guarded.root}/health").json() == {"status": "ok"}


@pytest.mark.parametrize(
    "sent",
    [
        None,
        "",
        KEY,
        f"Bearer {KEY}x",
        f"Bearer {KEY[:-1]}",
        f"Bearer {KEY.upper()}",
        "Bearer",
        "Basic !",
        "Basic YWRtaW46YWRtaW4=",
        "Basic",
    ],
)
def test_without_the_key_nothing_answers(guarded: Running, sent: str | None) -> None:
    headers = {} if sent is None else {"Authorization": sent}
    for path in ("/v1/models", "/v1/images/generations", "/metrics", "/openapi.json", "/nowhere"):
        for method in ("GET", "POST"):
            answer = httpx.request(method, guarded.root + path, headers=headers)
            assert answer.status_code == 401
            assert answer.json()["error"]["code"] == "invalid_api_key"
            assert KEY not in answer.text


def test_openais_client_names_a_wrong_key(guarded: Running) -> None:
    client = openai.OpenAI(base_url=guarded.url, api_key="wrong", max_retries=0)
    with pytest.raises(openai.AuthenticationError):
        client.models.list()


def test_a_browser_sends_the_key_as_a_password(guarded: Running) -> None:
    assert httpx.get(f"{guarded.url}/models", auth=("anyone", KEY)).status_code == 200
    asked = httpx.get(f"{guarded.url}/models").headers["www-authenticate"]
    assert "Basic" in asked


def test_the_key_is_never_logged(guarded: Running, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    guarded.client().models.list()
    httpx.get(f"{guarded.url}/models", headers={"Authorization": f"Bearer {KEY}x"})
    ours = [record for record in caplog.records if record.name.startswith(("diffagent", "uvicorn"))]
    assert not any(KEY in record.getMessage() for record in ours)


def test_a_body_that_is_too_large_is_not_read(guarded: Running) -> None:
    with pytest.raises(openai.APIStatusError) as raised:
        guarded.client().images.generate(prompt="x" * 20_000)
    assert raised.value.status_code == 413
    headers = {"Authorization": f"Bearer {KEY}", "Content-Type": "application/json"}
    pieces = (b'{"prompt": "' if n == 0 else b"x" * 1000 for n in range(100))
    answer = httpx.post(f"{guarded.url}/images/generations", headers=headers, content=pieces)
    assert answer.status_code == 413


@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1.evil.example", "evil.example:8080"])
def test_a_web_page_cannot_reach_a_local_server_under_another_name(paper: Running, host: str) -> None:
    assert httpx.get(f"{paper.url}/models", headers={"Host": host}).status_code == 400
    assert httpx.get(f"{paper.url}/models").status_code == 200


def test_a_web_page_cannot_send_a_plain_form(paper: Running, backend: PaperBackend) -> None:
    for kind in ("text/plain", "application/x-www-form-urlencoded"):
        body, headers = b'{"prompt": "a fox"}', {"Content-Type": kind}
        answer = httpx.post(f"{paper.url}/images/generations", content=body, headers=headers)
        assert (answer.status_code, answer.json()["error"]["type"]) == (400, "invalid_request_error")
    assert backend.drawn == []


@pytest.mark.parametrize("body", ["", "{", "[]", "7", '{"prompt": 7}', '{"prompt": "a fox", "n": "many"}'])
def test_a_body_that_is_no_request(paper: Running, body: str) -> None:
    answer = httpx.post(f"{paper.url}/images/generations", content=body, headers={"Content-Type": "application/json"})
    assert (answer.status_code, answer.json()["error"]["type"]) == (400, "invalid_request_error")


def test_a_path_that_is_not_there(paper: Running) -> None:
    answer = httpx.get(f"{paper.url}/nowhere")
    assert (answer.status_code, answer.json()["error"]["message"]) == (404, "Not Found")
