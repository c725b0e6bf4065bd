"""Who may ask: those who know the key."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
from typing import Final

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from diffagent_tools.serving.api.errors import ApiError
from diffagent_tools.serving.api.pictures import PATH

_HEALTH: Final = "/health"
_POLICY_VIOLATION: Final = 1008
_ASKED: Final = {"WWW-Authenticate": 'Bearer, Basic realm="DiffAgent"'}


class KeyGuard:
    """Middleware that lets through only requests that carry the key.

    `Authorization: Bearer KEY` is what OpenAI's clients send; a browser can only send it as the password of
    `Authorization: Basic`. Open to all are the health check and the pictures: whoever knows a picture's SHA-256 was
    given it, and a chat program that shows an answer fetches the picture without a key.
    """

    def __init__(self, app: ASGIApp, *, key: str) -> None:
        """Wrap an application."""
        self._app = app
        self._digest = _digest(key.encode())

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, or refuse it."""
        if scope["type"] == "lifespan" or _is_open(scope) or self._knows_key(scope):
            await self._app(scope, receive, send)
        elif scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": _POLICY_VIOLATION})
        else:
            msg = "the API key is missing or wrong; send it as `Authorization: Bearer KEY`"
            refusal = ApiError(401, msg, type="authentication_error", code="invalid_api_key", headers=_ASKED)
            await refusal.response(scope, receive, send)

    def _knows_key(self, scope: Scope) -> bool:
        kind, _, given = Headers(scope=scope).get("authorization", "").partition(" ")
        key = given.strip().encode()
        if kind.lower() == "basic":
            key = _password(key)
        elif kind.lower() != "bearer":
            return False
        # Digests have one length, so that not even the length of the key shows in the time.
        return hmac.compare_digest(_digest(key), self._digest)


def _is_open(scope: Scope) -> bool:
    path = scope["path"]
    return scope["type"] == "http" and scope["method"] == "GET" and (path == _HEALTH or path.startswith(f"{PATH}/"))


def _password(encoded: bytes) -> bytes:
    try:
        return base64.b64decode(encoded, validate=True).partition(b":")[2]
    except binascii.Error:
        return b""


def _digest(key: bytes) -> bytes:
    return hashlib.sha256(key).digest()
