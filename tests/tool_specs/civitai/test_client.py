from __future__ import annotations

import asyncio
import gzip
import logging
import time
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any

import pytest

from tests.civitai_models import plain_model, seeded_models
from tests.civitai_server import TRANSIENT, CivitaiServer, Reply, data, html, packed
from tool_specs.civitai.client import CivitaiClient, Page
from tool_specs.civitai.queries import ModelQuery
from tool_specs.civitai.records import specs_of
from tool_specs.exceptions import CivitaiError, ConfigError, RequestError

KEY = "civitai-secret-0123456789"
QUERY = ModelQuery()


def client(url: str, **options: Any) -> CivitaiClient:
    return CivitaiClient(url, **{"interval": 0, "backoff": 0.001, "attempts": 4, "timeout": 5, **options})


async def every_page(civitai: CivitaiClient, query: ModelQuery) -> list[Page]:
    pages = [await civitai.models(query)]
    while (cursor := pages[-1].next_cursor) is not None:
        pages.append(await civitai.models(query, cursor))
    return pages


async def refused(server: CivitaiServer, *replies: Reply, **options: Any) -> CivitaiError:
    """The error of a listing that is answered so, again and again."""
    server.scripted = list(replies) * 10
    async with client(server.url, **options) as civitai:
        with pytest.raises(CivitaiError) as caught:
            await civitai.models(QUERY)
    server.scripted = []
    return caught.value


async def test_pages_are_walked_by_cursor_to_the_end() -> None:
    with CivitaiServer(seeded_models(250), page_size=10) as server:
        async with client(server.url) as civitai:
            pages = await every_page(civitai, ModelQuery(nsfw=True))
    assert len(pages) == 25
    assert sorted(int(item["id"]) for page in pages for item in page.items) == list(range(1, 251))
    assert all("page" not in query for query in server.listings)
    assert {key for query in server.listings for key in query} == {"limit", "sort", "period", "nsfw", "cursor"}


async def test_lists_are_repeated_and_false_is_left_out() -> None:
    with CivitaiServer() as server:
        async with client(server.url) as civitai:
            await civitai.models(ModelQuery(types=("LORA", "LoCon"), base_models=("SD 1.5", "Pony"), period="Month"))
    assert server.listings == [
        {
            "limit": ["100"],
            "sort": ["Newest"],
            "period": ["Month"],
            "types": ["LORA", "LoCon"],
            "baseModels": ["SD 1.5", "Pony"],
        }
    ]


@pytest.mark.parametrize("cursor", ["75363|932023|257749", "2024-01-01 00:00:00|5", "feed:a&b=c#d%20", "76:341:1+1 ü"])
async def test_cursors_arrive_as_they_were_given(cursor: str) -> None:
    with CivitaiServer() as server:
        server.scripted = [data({"items": [], "metadata": {"nextCursor": cursor}}), data({"items": [], "metadata": {}})]
        async with client(server.url) as civitai:
            page = await civitai.models(QUERY)
            await civitai.models(QUERY, page.next_cursor)
    assert server.listings[1]["cursor"] == [cursor]


async def test_the_link_to_the_next_page_is_never_followed() -> None:
    with CivitaiServer() as server:
        server.scripted = [data({"items": [], "metadata": {"nextPage": "https://evil.example/?token=x"}})]
        async with client(server.url) as civitai:
            assert await civitai.models(QUERY) == Page((), None)


@pytest.mark.parametrize(
    ("metadata", "cursor"),
    [({"nextCursor": 5}, "5"), ({"nextCursor": ""}, None), (None, None), ({"nextCursor": None}, None)],
)
async def test_odd_ends_of_a_page(metadata: object, cursor: str | None) -> None:
    with CivitaiServer() as server:
        server.scripted = [data({"items": [None, 3, {"id": 1}], "metadata": metadata})]
        async with client(server.url) as civitai:
            assert await civitai.models(QUERY) == Page(({}, {}, {"id": 1}), cursor)


@pytest.mark.parametrize("name", TRANSIENT)
async def test_trouble_that_passes_is_tried_again(name: str) -> None:
    waits: list[float] = []
    with CivitaiServer([plain_model(1)]) as server:
        server.scripted = [TRANSIENT[name], TRANSIENT[name]]
        async with client(server.url, on_wait=lambda reason, seconds: waits.append(seconds)) as civitai:
            page = await civitai.models(QUERY)
    assert [item["id"] for item in page.items] == [1]
    assert len(server.seen) == 3
    assert len(waits) == 2


@pytest.mark.parametrize("name", TRANSIENT)
async def test_trouble_that_stays_ends_in_one_line(name: str) -> None:
    with CivitaiServer() as server:
        error = await refused(server, TRANSIENT[name])
        assert len(server.seen) == 4
    assert error.transient
    assert "/api/v1/models" in str(error)
    assert "\n" not in str(error)
    assert len(str(error)) < 400


@pytest.mark.parametrize(
    ("reply", "words"),
    [
        (data({"error": "You've requested too many pages, please use cursors instead"}, 429), "by cursor"),
        (data({"error": "We have detected unusual amount of downloading"}, 429), "quota"),
        (data({"error": {"issues": [{"message": "expected LORA"}], "name": "ZodError"}}, 400), "expected LORA"),
        (data({"error": "Unauthorized", "message": "requires you to be logged in"}, 401), "CIVITAI_API_KEY"),
        (html(401), "CIVITAI_API_KEY"),
        (data({"error": "Early Access", "deadline": "2030"}, 403), "Early Access"),
        (data({"error": "gone"}, 410), "archived"),
        (data({"error": "busy"}, 503, **{"Retry-After": "7200"}), "120 minutes"),
        (data({"error": "<b>x</b>\n" * 1000 + "\ud800"}, 400), "400"),
        (Reply(302, b"", {"Location": "/login?reason=download-auth"}), "log-in"),
        (Reply(302, b"", {"Location": "https://evil.example/api/v1/models"}), "evil.example"),
        (Reply(302, b"", {"Location": "http://civitai.com/api/v1/models"}), "civitai.com"),
        (Reply(302, b"", {"Location": "/api/v1/models"}), "circles"),
    ],
)  # fmt: skip
async def test_what_cannot_work_is_not_tried_again(reply: Reply, words: str) -> None:
    with CivitaiServer() as server:
        error = await refused(server, reply)
        assert len(server.seen) == (4 if "circles" in words else 1)
    assert not error.transient
    assert words in str(error)
    assert "\n" not in str(error)
    assert len(str(error)) < 400


async def test_a_server_that_is_not_there() -> None:
    with CivitaiServer() as server:
        url = server.url
    async with client(url) as civitai:
        with pytest.raises(CivitaiError, match=r"127\.0\.0\.1") as caught:
            await civitai.models(QUERY)
    assert caught.value.transient


async def test_a_slow_answer_is_given_up() -> None:
    with CivitaiServer([plain_model(1)]) as server:
        server.scripted = [Reply(seconds=2)]
        async with client(server.url, timeout=0.2) as civitai:
            assert len((await civitai.models(QUERY)).items) == 1


async def test_an_answer_may_not_be_endless() -> None:
    bomb = Reply(200, gzip.compress(b"[" + b"0," * 5_000_000 + b"0]"), {"Content-Encoding": "gzip"})
    assert len(bomb.body) < 50_000
    with CivitaiServer() as server:
        for reply in (bomb, Reply(200, b" " * 300_000)):
            error = await refused(server, reply, max_bytes=200_000)
            assert "200,000 bytes" in str(error)
            assert not error.transient
        assert len(server.seen) == 2


async def test_packed_answers_are_read() -> None:
    with CivitaiServer() as server:
        server.scripted = [packed({"items": [{"id": 1}]})]
        async with client(server.url) as civitai:
            assert await civitai.models(QUERY) == Page(({"id": 1},), None)


@pytest.mark.parametrize("as_date", [False, True])
async def test_retry_after_is_obeyed_by_all_requests(as_date: bool) -> None:
    asked = format_datetime(datetime.now(UTC) + timedelta(seconds=2), usegmt=True) if as_date else "1"
    waits: list[tuple[str, float]] = []
    with CivitaiServer([plain_model(1)]) as server:
        server.scripted = [data({"error": "Server busy"}, 503, **{"Retry-After": asked})]
        async with client(server.url, on_wait=lambda *wait: waits.append(wait)) as civitai:
            began = time.monotonic()
            first = asyncio.create_task(civitai.models(QUERY))
            while not waits:  # noqa: ASYNC110
                await asyncio.sleep(0.01)
            await civitai.models(QUERY)
            assert time.monotonic() - began >= 0.9
            await first
    assert 0.9 <= waits[0][1] <= 2
    assert "Server busy" in waits[0][0]


async def test_waits_grow() -> None:
    waits: list[float] = []
    with CivitaiServer() as server:
        options = {"attempts": 7, "backoff": 0.002}
        await refused(server, html(429), on_wait=lambda reason, seconds: waits.append(seconds), **options)
    assert len(waits) == 6
    assert all(0.002 * 2**number <= wait <= 0.002 * 2**number + 0.002 for number, wait in enumerate(waits[:5]))
    assert waits[-1] <= 0.06 + 0.002


async def test_requests_are_few_at_once_and_not_too_fast() -> None:
    with CivitaiServer([plain_model(number) for number in range(1, 13)]) as server:
        async with client(server.url, concurrency=3) as civitai:
            slow = [Reply(200, b'{"id": %d}' % number, seconds=0.05) for number in range(1, 13)]
            server.scripted = slow
            await asyncio.gather(*(civitai.by_hash("ABCDEF12") for _ in slow))
        assert server.most_at_once == 3
        async with client(server.url, interval=0.02) as civitai:
            began = time.monotonic()
            await asyncio.gather(*(civitai.model(number) for number in range(1, 11)))
            assert time.monotonic() - began >= 0.18


async def test_the_key_goes_to_the_configured_server_only(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    with CivitaiServer([plain_model(1)]) as server, CivitaiServer([plain_model(1)]) as other:
        async with client(server.url, api_key=f" {KEY}\n") as civitai:
            await civitai.models(QUERY)
            server.scripted = [Reply(307, b"", {"Location": server.url + "/models/1"})]
            assert await civitai.model(1)
            assert server.keys == [f"Bearer {KEY}"] * 3
        error = await refused(server, Reply(302, b"", {"Location": other.url + "/models"}), api_key=KEY)
        assert "not followed" in str(error)
        assert other.seen == []
        echoed = await refused(server, data({"error": f"no such key: {KEY}"}, 401), api_key=KEY)
        assert "no such key: (the key)" in str(echoed)
        assert all("token" not in query for _, query in server.seen)
    assert KEY not in caplog.text + str(error) + str(echoed) + repr(civitai)
    assert caplog.text


async def test_the_key_comes_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CIVITAI_API_KEY", KEY)
    with CivitaiServer() as server:
        monkeypatch.setenv("CIVITAI_API_URL", server.url)
        async with CivitaiClient(interval=0) as civitai:
            await civitai.models(QUERY)
        assert server.keys == [f"Bearer {KEY}"]
        async with CivitaiClient(interval=0, api_key="") as civitai:
            await civitai.models(QUERY)
        assert server.keys[1] is None


@pytest.mark.parametrize("key", [f"{KEY}\r\nHost: evil", "schlüssel", "two words", "x" * 501])
def test_a_key_that_is_none_is_refused_without_being_shown(key: str) -> None:
    with pytest.raises(ConfigError, match="CIVITAI_API_KEY") as caught:
        CivitaiClient(api_key=key)
    assert key not in str(caught.value)


@pytest.mark.parametrize(
    "url",
    ["civitai.com/api/v1", "ftp://civitai.com", "https://", "https://a@civitai.com", "https://civitai.com/?token=x"],
)
def test_an_address_that_is_none_is_refused(url: str) -> None:
    with pytest.raises(ConfigError, match=r"https://civitai\.com/api/v1"):
        CivitaiClient(url, api_key="")


def test_no_key_travels_unencrypted() -> None:
    with pytest.raises(ConfigError, match="unencrypted"):
        CivitaiClient("http://civitai.com/api/v1", api_key=KEY)


async def test_single_objects_and_those_that_are_gone() -> None:
    with CivitaiServer([plain_model(4384)]) as server:
        async with client(server.url) as civitai:
            found = await civitai.model(4384)
            assert found is not None
            assert specs_of(found).specs[0].id == "civitai:4384@43840"
            assert await civitai.model(1) is None
            assert await civitai.version(1) is None
            asked = len(server.seen)
            assert await civitai.model(2**31) is None
            assert await civitai.version(0) is None
            assert len(server.seen) == asked
            server.scripted = [html(404), data({"id": 7})]
            found = await civitai.model(4384)
            assert found is not None
            assert found["id"] == 4384


async def test_look_up_by_hash() -> None:
    with CivitaiServer() as server:
        server.by_hash = {"12345678AB": [{"id": 5, "modelId": 4}]}
        async with client(server.url) as civitai:
            assert (await civitai.by_hash("0x12345678ab") or {})["modelId"] == 4
            assert await civitai.by_hash("00000000") is None
            asked = len(server.seen)
            assert await civitai.by_hash("e3b0c44298fc") is None
            assert len(server.seen) == asked
            for wrong in ("", "xyz", "../models/1", "A" * 65):
                with pytest.raises(RequestError, match="no hash"):
                    await civitai.by_hash(wrong)


def holding(version_id: int, *digests: str, primary: bool = True) -> dict[str, Any]:
    files = [{"hashes": {"SHA256": digest}, "primary": primary} for digest in digests]
    return {"id": version_id, "files": [*files, {"hashes": []}, None]}


async def test_look_up_of_many_hashes() -> None:
    digests = [f"{number:064X}" for number in range(1, 251)]
    with CivitaiServer() as server:
        server.by_hash = {digest: [holding(number, digest)] for number, digest in enumerate(digests, 1) if number % 3}
        # One file in several versions: where it is the main file, else the oldest.
        server.by_hash[digests[0]] = [
            holding(900, digests[0].lower()),
            holding(901, digests[0]),
            holding(5, digests[0], primary=False),
        ]
        async with client(server.url) as civitai:
            found = await civitai.by_hashes(
                [*digests, digests[1].lower(), "E3B0C44298FC1C149AFBF4C8996FB92427AE41E4649B934CA495991B7852B855"]
            )
            assert await civitai.by_hashes([]) == {}
            with pytest.raises(RequestError, match="no SHA-256"):
                await civitai.by_hashes(["12345678AB"])
            server.scripted = [data({"items": []}), html(429), data([])]
            assert await civitai.by_hashes(digests[:1]) == {}
    assert found[digests[0]]["id"] == 900
    assert list(found) == [digest for number, digest in enumerate(digests, 1) if number % 3]
    assert sorted(len(body) for body in server.bodies) == [50, 100, 100]


async def test_pictures_are_safe_and_their_parameters_flat() -> None:
    with CivitaiServer() as server:
        server.images = [
            {"id": 1, "browsingLevel": 1, "type": "image", "meta": {"prompt": "a fox"}},
            {"id": 2, "browsingLevel": 1, "meta": {"id": 2, "meta": {"prompt": "a cat"}}},
            {"id": 3, "browsingLevel": 1, "meta": {"id": 3, "meta": None}},
            {"id": 4, "browsingLevel": 1, "meta": None},
            {"id": 5, "browsingLevel": 0, "nsfwLevel": "None", "meta": None},
            {"id": 6, "nsfwLevel": "None", "nsfw": False, "meta": None},
            {"id": 7, "browsingLevel": 5, "meta": None},
            {"id": 8, "browsingLevel": 1, "type": "video", "meta": None},
            {"id": 9, "browsingLevel": 1, "meta": {"prompt": "nude"}},
        ]
        async with client(server.url) as civitai:
            page = await civitai.images(43840)
    assert [(item["id"], item["meta"]) for item in page.items] == [
        (1, {"prompt": "a fox"}), (2, {"prompt": "a cat"}), (3, None), (4, None),
    ]  # fmt: skip
    ((_, query),) = server.seen
    assert query["modelVersionId"] == ["43840"]
    assert query["withMeta"] == query["flatMeta"] == ["true"]
    assert query["browsingLevel"] == ["1"]


async def test_a_listing_through_every_fault() -> None:
    with CivitaiServer(seeded_models(900), page_size=3, fault_rate=0.25, seed=7) as server:
        async with client(server.url) as civitai:
            pages = await every_page(civitai, ModelQuery(nsfw=True))
    assert len(pages) == 300
    assert sorted(int(item["id"]) for page in pages for item in page.items) == list(range(1, 901))
    assert sum(server.faults.values()) > 50


@pytest.mark.parametrize("ask", [lambda one: one.models(QUERY), lambda one: one.by_hashes(["A" * 64, "B" * 64])])
async def test_it_can_be_interrupted(ask: Callable[[CivitaiClient], Awaitable[object]]) -> None:
    with CivitaiServer() as server:
        server.scripted = [Reply(seconds=1)] * 3
        async with client(server.url) as civitai:
            began = time.monotonic()
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(ask(civitai), 0.1)
            assert time.monotonic() - began < 0.5
