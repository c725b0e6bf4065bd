"""Where Civitai's downloads come from, in small: a server that redirects, and a storage with ranges and faults."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Self

from tests.civitai_server import Reply

Headers = dict[str, str]


@dataclass
class Stored:
    """A file in the storage and how it is given.

    Attributes:
        content: The bytes.
        tag: The ETag; none where empty.
        ranges: Whether parts can be asked for.
        cuts: Bytes after which the next answers break off, one each.
        says_size: Whether the length is told.
        pause: Seconds before each kilobyte.
    """

    content: bytes
    tag: str = '"one"'
    ranges: bool = True
    cuts: list[int] = field(default_factory=list)
    says_size: bool = True
    pause: float = 0.0
    content_type: str = "application/octet-stream"


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Server

    def do_GET(self) -> None:
        headers = {name.casefold(): value for name, value in self.headers.items()}
        self.server.seen.append((self.path, headers))
        self.close_connection = True
        found = self.server.answer(self.path, headers)
        try:
            if isinstance(found, Stored):
                self._give(found, headers)
            else:
                self._reply(found)
        except (BrokenPipeError, ConnectionResetError):
            pass

    def log_message(self, *_: object) -> None:
        pass

    def _reply(self, reply: Reply) -> None:
        self.send_response(reply.status)
        headers = {"Content-Type": reply.content_type, "Content-Length": str(len(reply.body)), **reply.headers}
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(reply.body)

    def _give(self, stored: Stored, headers: Headers) -> None:
        size, start = len(stored.content), 0
        same = headers.get("if-range", stored.tag) == stored.tag
        if stored.ranges and same and "range" in headers:
            start = int(headers["range"].removeprefix("bytes=").partition("-")[0])
            if start >= size:
                self._reply(Reply(416, b"", {"Content-Range": f"bytes */{size}"}))
                return
            self.send_response(206)
            self.send_header("Content-Range", f"bytes {start}-{size - 1}/{size}")
        else:
            self.send_response(200)
        self.send_header("Content-Type", stored.content_type)
        if stored.tag:
            self.send_header("ETag", stored.tag)
        if stored.says_size:
            self.send_header("Content-Length", str(size - start))
        self.end_headers()
        end = min(size, start + stored.cuts.pop(0)) if stored.cuts else size
        for place in range(start, end, 1024):
            time.sleep(stored.pause)
            self.wfile.write(stored.content[place : min(place + 1024, end)])


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, answer: Callable[[str, Headers], Reply | Stored]) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.answer = answer
        self.seen: list[tuple[str, Headers]] = []

    def start(self) -> None:
        threading.Thread(target=self.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()

    def stop(self) -> None:
        self.shutdown()
        self.server_close()


class FileServer:
    """Civitai's download endpoint and its storage, two servers on two ports. Use it as a context manager.

    Attributes:
        files: By number of the version.
        scripted: Answers of the endpoint, then of the storage, before any file is given.
        location: Where a download is redirected to, given the version; by default the storage.
    """

    def __init__(self) -> None:
        self.files: dict[str, Stored] = {}
        self.scripted: list[Reply] = []
        self.storage_scripted: list[Reply] = []
        self.location: Callable[[str], str] = lambda version: f"{self.storage_url}/{version}?X-Amz-Signature=s3cret"
        self._front = _Server(self._redirect)
        self._storage = _Server(self._give)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._front.server_port}/api/v1"

    @property
    def storage_url(self) -> str:
        return f"http://127.0.0.1:{self._storage.server_port}"

    @property
    def asked(self) -> list[tuple[str, Headers]]:
        """Path and headers of each question to the endpoint."""
        return self._front.seen

    @property
    def given(self) -> list[tuple[str, Headers]]:
        """Path and headers of each question to the storage."""
        return self._storage.seen

    def __enter__(self) -> Self:
        self._front.start()
        self._storage.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._front.stop()
        self._storage.stop()

    def _redirect(self, target: str, _: Headers) -> Reply | Stored:
        if self.scripted:
            return self.scripted.pop(0)
        version = target.partition("?")[0].rpartition("/")[2]
        return Reply(302, b"", {"Location": self.location(version)})

    def _give(self, target: str, _: Headers) -> Reply | Stored:
        if self.storage_scripted:
            return self.storage_scripted.pop(0)
        return self.files[target.partition("?")[0].rpartition("/")[2]]
