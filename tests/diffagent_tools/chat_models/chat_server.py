"""A chat server of our own: real HTTP on this machine, with answers as vLLM gives them."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

Json = dict[str, Any]


def call(arguments: str, name: str = "draw_fox") -> Json:
    """One tool call of an answer."""
    return {"id": "call_1", "type": "function", "function": {"name": name, "arguments": arguments}}


def answer(content: str = "", calls: list[Json] | None = None, finish: str = "stop", **thought: str) -> Json:
    """A whole answer."""
    message = {"role": "assistant", "content": content, "tool_calls": calls or [], **thought}
    return {
        "id": "chatcmpl-1",
        "object": "chat.completion",
        "created": 1,
        "model": "diffagent",
        "choices": [{"index": 0, "message": message, "finish_reason": finish, "logprobs": None}],
        "usage": {"prompt_tokens": 5, "completion_tokens": 2, "total_tokens": 7},
    }


def refusal(message: str, status: int = 400) -> Json:
    """The answer to what the server does not take; it is sent with that status."""
    return {"error": {"message": message, "type": "BadRequestError", "code": status}}


def streamed(*deltas: Json, finish: str | None = "stop") -> list[Json]:
    """An answer in pieces; with None it breaks off."""
    head = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1, "model": "diffagent"}
    last = {"index": 0, "delta": {}, "finish_reason": finish}
    usage = {"prompt_tokens": 5, "completion_tokens": 2, "total_tokens": 7}
    return [
        *({**head, "choices": [{"index": 0, "delta": delta, "finish_reason": None}]} for delta in deltas),
        {**head, "choices": [last]},
        {**head, "choices": [], "usage": usage},
    ]


def call_pieces(*arguments: str, name: str = "draw_fox") -> list[Json]:
    """The pieces of one call, as vLLM's Hermes parser streams them."""
    first: Json = {"index": 0, "id": "call_1", "type": "function", "function": {"name": name}}
    rest = [{"index": 0, "function": {"arguments": piece}} for piece in arguments]
    return [{"tool_calls": [piece]} for piece in (first, *rest)]


@dataclass
class ChatServer:
    """Answers every request with `reply`, or what that makes of the request, and remembers what it was asked."""

    reply: Json | list[Json] | Callable[[Json], Json | list[Json]] = field(default_factory=answer)
    asked: list[Json] = field(default_factory=list)
    keys: list[str] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)
    """Of each request, the names in small letters."""
    url: str = ""

    @property
    def asked_last(self) -> Json:
        return self.asked[-1]

    def body(self, asked: Json) -> tuple[int, str, bytes]:
        """Status, content type and body of the reply to a request."""
        reply = self.reply(asked) if callable(self.reply) else self.reply
        if isinstance(reply, list):
            events = [*map(json.dumps, reply), "[DONE]"]
            return 200, "text/event-stream", "".join(f"data: {event}\n\n" for event in events).encode()
        return reply.get("error", {}).get("code", 200), "application/json", json.dumps(reply).encode()


@contextmanager
def serving() -> Iterator[ChatServer]:
    """Such a server, for as long as the `with` block runs."""
    state = ChatServer()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            state.asked.append(asked)
            state.keys.append(self.headers.get("Authorization", ""))
            state.headers.append({name.lower(): value for name, value in self.headers.items()})
            status, kind, body = state.body(asked)
            self.send_response(status)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *args: object) -> None:
            """Keep quiet."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    state.url = f"http://127.0.0.1:{server.server_address[1]}/v1"
    try:
        yield state
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
