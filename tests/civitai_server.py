"""A Civitai of our own: a real HTTP server with seeded models, paged as Civitai pages them, and with its faults."""

from __future__ import annotations

import gzip
import json
import random
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self
from urllib.parse import parse_qs, urlsplit

Record = dict[str, Any]
PAGE = b"<!DOCTYPE html><html><head><title>Just a moment...</title></head><body>Cloudflare</body></html>"


@dataclass(frozen=True)
class Reply:
    """One answer. A `cut` body ends before its announced length; `dropped` answers nothing at all."""

    status: int = 200
    body: bytes = b"{}"
    headers: dict[str, str] = field(default_factory=dict)
    content_type: str = "application/json"
    cut: bool = False
    dropped: bool = False
    seconds: float = 0.0


def data(value: object, status: int = 200, **headers: str) -> Reply:
    return Reply(status, json.dumps(value).encode(), headers)


def html(status: int) -> Reply:
    return Reply(status, PAGE, content_type="text/html; charset=UTF-8")


TRANSIENT: dict[str, Reply] = {
    "429 of the edge": html(429),
    "429 with Retry-After": data({"error": "Too many requests"}, 429, **{"Retry-After": "0"}),
    "503 with Retry-After": data({"error": "Server busy"}, 503, **{"Retry-After": "0"}),
    "503 with a date": data({"error": "overloaded"}, 503, **{"Retry-After": "Wed, 21 Oct 2020 07:28:00 GMT"}),
    "503 with nonsense": data({"error": "overloaded"}, 503, **{"Retry-After": "soon"}),
    "500 with Prisma's text": data({"error": "\nInvalid `prisma.model.findMany()` invocation:\n\n\n"}, 500),
    "500 in tRPC's form": data({"code": "INTERNAL_SERVER_ERROR", "message": "oops", "issues": []}, 500),
    "499": data({"message": "client closed request"}, 499),
    "502 page": html(502),
    "520 page": html(520),
    "524 page": html(524),
    "page with 200": html(200),
    "challenge with 403": html(403),
    "page with 404": html(404),
    "page called JSON": Reply(200, PAGE),
    "cut off and too short": Reply(200, b'{"items": [{"id": 1, "name": "a', cut=True),
    "cut off": Reply(200, b'{"items": [{"id": 1, "name": "a'),
    "empty": Reply(200, b""),
    "no items": data({"metadata": {}}),
    "items null": data({"items": None, "metadata": {}}),
    "a list": data([1, 2, 3]),
    "a cursor that is an object": data({"items": [], "metadata": {"nextCursor": {"a": 1}}}),
    "an endless cursor": data({"items": [], "metadata": {"nextCursor": "1" * 5000}}),
    "nested without end": Reply(200, b"[" * 100_000),
    "not UTF-8": Reply(200, b'{"items": ["\xff\xfe"]}'),
    "broken gzip": Reply(200, b"no gzip", {"Content-Encoding": "gzip"}),
    "a redirect to nowhere": Reply(302, b"", {"Location": "http://[::1"}),
    "connection dropped": Reply(dropped=True),
}
"""Trouble that passes: the same request succeeds when it is repeated."""


class CivitaiServer:
    """Serves `models`, the newest first. Use it as a context manager; `url` is what a client needs.

    Attributes:
        models: Model objects by id.
        page_size: Most models on a page, whatever is asked for.
        seen: Path and query of every request that came.
        keys: The Authorization header of every request.
        most_at_once: Most requests that were open at the same time.
    """

    def __init__(
        self, models: Iterable[Record] = (), *, page_size: int = 100, fault_rate: float = 0.0, seed: int = 0
    ) -> None:
        self.models = {int(record["id"]): record for record in models}
        self._hidden: set[int] = set()
        self._sorted: dict[str, list[tuple[str, str, Record]]] = {}
        self.page_size = page_size
        self.enums: Record = {"ModelType": ["Checkpoint", "LORA"], "BaseModel": ["SD 1.5", "SDXL 1.0", "Pony"]}
        self.by_hash: dict[str, list[Record]] = {}
        self.images: list[Record] = []
        self.fault_rate = fault_rate
        self.faults = Counter[str]()
        self.scripted: list[Reply] = []
        self.after: Callable[[int], None] = lambda count: None
        self.seen: list[tuple[str, dict[str, list[str]]]] = []
        self.keys: list[str | None] = []
        self.bodies: list[Any] = []
        self.open_now = 0
        self.most_at_once = 0
        self._random = random.Random(seed)
        self._lock = threading.Lock()
        self._failed_before: set[str] = set()
        self._http = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        self._http.daemon_threads = True

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._http.server_port}/api/v1"

    @property
    def listings(self) -> list[dict[str, list[str]]]:
        """The queries of all listings that were asked for."""
        return [query for path, query in self.seen if path == "/api/v1/models"]

    def put(self, *records: Record) -> None:
        """Publish models, or change them."""
        self.models |= {int(record["id"]): record for record in records}
        self._sorted.clear()

    def drop(self, *model_ids: int) -> None:
        """Delete models: no listing names them and `/models/ID` does not know them."""
        for model_id in model_ids:
            del self.models[model_id]
        self._sorted.clear()

    def hide(self, *model_ids: int) -> None:
        """Leave models out of the listing only."""
        self._hidden |= set(model_ids)
        self._sorted.clear()

    def __enter__(self) -> Self:
        threading.Thread(target=self._http.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._http.shutdown()
        self._http.server_close()

    def reply(self, method: str, target: str, key: str | None, body: bytes) -> Reply:
        """The answer to one request: a scripted one, a fault, or what was asked for."""
        url = urlsplit(target)
        query = parse_qs(url.query, keep_blank_values=True)
        with self._lock:
            self.seen.append((url.path, query))
            self.keys.append(key)
            self.after(len(self.seen))
            if self.scripted:
                return self.scripted.pop(0)
            # Never twice in a row for one request, so that a client with three attempts gets through.
            if target not in self._failed_before and self._random.random() < self.fault_rate:
                self._failed_before.add(target)
                name = self._random.choice(list(TRANSIENT))
                self.faults[name] += 1
                return TRANSIENT[name]
            self._failed_before.discard(target)
        path = url.path.removeprefix("/api/v1")
        if method == "POST":
            self.bodies.append(json.loads(body))
            return self._versions(self.bodies[-1])
        if path == "/models":
            return self._listing(query)
        if path == "/enums":
            return data(self.enums)
        if path == "/images":
            return data({"items": self.images, "metadata": {}})
        if path.startswith("/models/"):
            return self._model(path.rpartition("/")[2])
        if path.startswith("/model-versions/by-hash/"):
            found = self.by_hash.get(path.rpartition("/")[2])
            return data(found[0]) if found else data({"error": "Model not found"}, 404)
        return data({"error": f"No version with id {path.rpartition('/')[2]}"}, 404)

    def _model(self, name: str) -> Reply:
        if not name.isdigit() or int(name) > 2**31 - 1:
            return data({"error": {"issues": [{"message": "Too big: expected int4"}], "name": "ZodError"}}, 400)
        if int(name) not in self.models:
            return data({"error": f"No model with id {name}"}, 404)
        return data(self.models[int(name)])

    def _versions(self, digests: list[str]) -> Reply:
        if len(digests) > 100 or any(len(digest) != 64 for digest in digests):
            return data({"error": "Request must include an array of SHA256 Hashes."}, 400)
        found = [version for digest in reversed(digests) for version in self.by_hash.get(digest, [])]
        return data(found)

    def _listing(self, query: dict[str, list[str]]) -> Reply:
        """The page after a cursor of the form `DATE|ID`, as Civitai's for the newest models."""
        types, bases = query.get("types", []), query.get("baseModels", [])
        if any("," in name for name in types):
            return data({"error": {"name": "ZodError", "message": "Invalid option"}}, 400)
        if "page" in query or query.get("sort") != ["Newest"]:
            return data({"error": "You've requested too many pages, please use cursors instead"}, 429)
        (cursor,) = query.get("cursor", [""])
        if cursor and "|" not in cursor:
            return data({"error": "Invalid cursor"}, 400)
        keyed = self._listed(types, bases, nsfw=query.get("nsfw") == ["true"])
        if cursor:
            date, _, last = cursor.partition("|")
            keyed = [one for one in keyed if (one[0], one[1]) < (date, last)]
        size = min(self.page_size, int(query["limit"][0]), 100)
        page, rest = keyed[:size], keyed[size:]
        metadata: Record = {}
        if rest:
            metadata = {
                "nextCursor": f"{page[-1][0]}|{page[-1][1]}",
                "nextPage": "https://civitai.red/api/v1/models?token=x",
            }
        return data({"items": [record for _, _, record in page], "metadata": metadata})

    def _listed(self, types: list[str], bases: list[str], *, nsfw: bool) -> list[tuple[str, str, Record]]:
        """Date, padded id and record of what a query lists, the newest first."""
        key = repr((types, bases, nsfw))
        if key not in self._sorted:
            found = [
                (published(record), f"{model_id:010}", record)
                for model_id, record in self.models.items()
                if model_id not in self._hidden
                and (not types or record.get("type") in types)
                and (not bases or any(one.get("baseModel") in bases for one in record["modelVersions"]))
                and (nsfw or not record.get("nsfw"))
            ]
            self._sorted[key] = sorted(found, key=lambda one: one[:2], reverse=True)
        return self._sorted[key]


def published(record: Record) -> str:
    """By which the listing is ordered."""
    return max((one.get("publishedAt") or "" for one in record["modelVersions"]), default="")


def _handler(server: CivitaiServer) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True

        def do_GET(self) -> None:
            self._answer("GET")

        def do_POST(self) -> None:
            self._answer("POST")

        def log_message(self, *_: object) -> None:
            pass

        def _answer(self, method: str) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            with server._lock:
                server.open_now += 1
                server.most_at_once = max(server.most_at_once, server.open_now)
            try:
                reply = server.reply(method, self.path, self.headers.get("Authorization"), body)
                time.sleep(reply.seconds)
                if reply.dropped:
                    self.close_connection = True
                    return
                self._send(reply)
            except (BrokenPipeError, ConnectionResetError):
                self.close_connection = True
            finally:
                with server._lock:
                    server.open_now -= 1

        def _send(self, reply: Reply) -> None:
            self.send_response(reply.status)
            for name, value in {"Content-Type": reply.content_type, **reply.headers}.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(reply.body) + (500 if reply.cut else 0)))
            self.end_headers()
            self.wfile.write(reply.body)
            self.close_connection = self.close_connection or reply.cut

    return Handler


def packed(value: object) -> Reply:
    """An answer in gzip."""
    return Reply(200, gzip.compress(json.dumps(value).encode()), {"Content-Encoding": "gzip"})
