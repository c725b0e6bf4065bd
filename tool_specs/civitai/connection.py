"""The connection to Civitai's API: a few requests at a time, not too fast, repeated where that helps."""

from __future__ import annotations

import asyncio
import logging
import re
from collections.abc import Callable, Sequence
from dataclasses import replace
from types import TracebackType
from typing import Final, Self, TypeVar

import httpx
from tenacity import AsyncRetrying, RetryCallState, retry_if_exception, stop_after_attempt

from tool_specs.civitai.answers import Answer, data_of, seconds_to_wait
from tool_specs.exceptions import CivitaiError, ConfigError
from tool_specs.release import release

KEY_VARIABLE: Final = "CIVITAI_API_KEY"
URL_VARIABLE: Final = "CIVITAI_API_URL"

OnWait = Callable[[str, float], None]
"""Called before each repetition with the reason and the seconds of the wait."""

Answered = TypeVar("Answered")

_MAX_REDIRECTS: Final = 3
_KEY: Final = re.compile(r"[\x21-\x7e]{1,500}")
LOCAL_HOSTS: Final = frozenset({"localhost", "127.0.0.1", "::1"})
"""This machine, to which nothing needs to be encrypted."""
_logger = logging.getLogger(__name__)


class Connection:
    """Asks one host for JSON. Use it as an async context manager, as often as you like, in any event loop."""

    def __init__(
        self,
        base_url: str,
        *,
        api_key: str | None,
        concurrency: int,
        interval: float,
        attempts: int,
        backoff: float,
        timeout: float,
        max_bytes: int,
        on_wait: OnWait | None,
    ) -> None:
        """See `CivitaiClient`."""
        self._base = checked_address(base_url, has_key=bool(api_key))
        self._key = checked_key(api_key)
        self._interval = interval
        self._timeout = timeout
        self._max_bytes = max_bytes
        self._on_wait = on_wait
        self._concurrency = concurrency
        self._next_start = 0.0
        self._backoff = backoff
        self._retrying = AsyncRetrying(
            retry=retry_if_exception(lambda error: isinstance(error, CivitaiError) and error.transient),
            stop=stop_after_attempt(attempts),
            wait=self._wait,
            before_sleep=self._hold,
            reraise=True,
        )

    @property
    def address(self) -> str:
        """The address of the API."""
        return str(self._base)

    async def __aenter__(self) -> Self:
        # All of these belong to one event loop, and a closed client cannot be opened again.
        self._places = asyncio.Semaphore(self._concurrency)
        self._turn = asyncio.Lock()
        self._client = httpx.AsyncClient(
            headers={"User-Agent": f"diffagent-tools/{release()}", "Accept": "application/json"},
            timeout=httpx.Timeout(self._timeout, connect=min(self._timeout, 10), read=min(self._timeout, 60)),
            follow_redirects=False,
        )
        await self._client.__aenter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._client.__aexit__(kind, error, trace)

    async def ask(
        self,
        path: str,
        read: Callable[[object], Answered],
        *,
        parameters: Sequence[tuple[str, str]] = (),
        content: object = None,
    ) -> Answered:
        """Ask, as often as makes sense.

        Args:
            path: Below the API's address.
            read: Makes of the JSON what is wanted, or raises a `CivitaiError`.
            parameters: The query.
            content: JSON to send; without it nothing is sent (GET instead of POST).

        Raises:
            CivitaiError: It could not be had.
        """
        url = self._base.copy_with(path=f"{self._base.path.rstrip('/')}{path}").copy_merge_params(tuple(parameters))
        return await self._retrying(self._attempt, "GET" if content is None else "POST", url, content, read)

    async def _attempt(
        self, method: str, url: httpx.URL, content: object, read: Callable[[object], Answered]
    ) -> Answered:
        place = f"{method} {url.path}"
        async with self._places:
            await self._my_turn()
            try:
                async with asyncio.timeout(self._timeout):
                    answer = await self._answer(method, url, content, place)
            except (httpx.RequestError, TimeoutError) as error:
                msg = f"{place}: no answer from {url.host} ({type(error).__name__}); check the network or try later"
                raise CivitaiError(msg, transient=True) from error
        if answer.status >= 400 and self._key:
            answer = replace(answer, body=answer.body.replace(self._key.encode(), b"(the key)"))
        data = data_of(answer, place)
        try:
            return read(data)
        except CivitaiError as error:
            raise CivitaiError(f"{place}: {error}", status=answer.status, transient=error.transient) from error

    async def _answer(self, method: str, url: httpx.URL, content: object, place: str) -> Answer:
        headers = {"Authorization": f"Bearer {self._key}"} if self._key else {}
        for _ in range(_MAX_REDIRECTS + 1):
            async with self._client.stream(method, url, headers=headers, json=content) as response:
                if not response.has_redirect_location:
                    return Answer(
                        status=response.status_code,
                        content_type=response.headers.get("content-type", ""),
                        retry_after=response.headers.get("retry-after", ""),
                        body=await self._body(response, place),
                    )
                url = self._redirected(url, response.headers["location"], place)
        msg = f"{place}: Civitai redirects in circles; try later"
        raise CivitaiError(msg)

    async def _body(self, response: httpx.Response, place: str) -> bytes:
        """The body, unpacked; bounded while it arrives."""
        body = bytearray()
        async for chunk in response.aiter_bytes():
            body += chunk
            if len(body) > self._max_bytes:
                msg = f"{place}: the answer is larger than {self._max_bytes:,} bytes; it was not read"
                raise CivitaiError(msg, status=response.status_code)
        return bytes(body)

    def _redirected(self, url: httpx.URL, location: str, place: str) -> httpx.URL:
        """Where to go on, which must be on the same server."""
        target = url.join(location)
        if "login" in target.path.casefold():
            msg = f"{place}: Civitai wants a log-in; set {KEY_VARIABLE} to a valid key"
            raise CivitaiError(msg, status=401)
        if not self._is_ours(target):
            where = f"{target.scheme}://{target.host}"[:100]
            msg = f"{place}: redirected to {where!r}, which is not followed; if you trust it, set {URL_VARIABLE} to it"
            raise CivitaiError(msg)
        return target

    def _is_ours(self, url: httpx.URL) -> bool:
        """Whether it is the configured server itself: the only one that is asked, and given the key."""
        return is_same_server(url, self._base)

    async def _my_turn(self) -> None:
        """Wait until the next request may start."""
        now = asyncio.get_running_loop().time
        async with self._turn:
            # In a loop, because another request may have been told meanwhile to wait.
            while (early := self._next_start - now()) > 0:  # noqa: ASYNC110
                await asyncio.sleep(early)
            self._next_start = now() + self._interval

    def _wait(self, state: RetryCallState) -> float:
        error = state.outcome.exception() if state.outcome else None
        return seconds_to_wait(error, state.attempt_number, self._backoff)

    def _hold(self, state: RetryCallState) -> None:
        """Let no other request start before the wait is over, and say so."""
        seconds = state.upcoming_sleep
        self._next_start = max(self._next_start, asyncio.get_running_loop().time() + seconds)
        reason = str(state.outcome.exception()) if state.outcome else ""
        _logger.info("waiting %.1f s: %s", seconds, reason)
        if self._on_wait is not None:
            self._on_wait(reason, seconds)


def is_same_server(left: httpx.URL, right: httpx.URL) -> bool:
    """Whether two addresses are of one server: whom the key may be shown."""
    return (left.scheme, left.host, left.port) == (right.scheme, right.host, right.port)


def checked_address(base_url: str, *, has_key: bool) -> httpx.URL:
    """The address of an API.

    Raises:
        ConfigError: It is none, or a key would travel there unencrypted.
    """
    try:
        url = httpx.URL(base_url)
    except (httpx.InvalidURL, TypeError):
        url = httpx.URL()
    if url.scheme not in ("http", "https") or not url.host or url.query or url.userinfo:
        msg = "the address of Civitai's API is none; write it as https://civitai.com/api/v1"
        raise ConfigError(msg)
    if has_key and url.scheme == "http" and url.host not in LOCAL_HOSTS:
        msg = f"the API key would go to {url.host} unencrypted; use an https address, or unset {KEY_VARIABLE}"
        raise ConfigError(msg)
    return url


def checked_key(api_key: str | None) -> str:
    """The key without the space around it; empty for none.

    Raises:
        ConfigError: It can be no key.
    """
    key = (api_key or "").strip()
    if key and not _KEY.fullmatch(key):
        msg = f"the API key in {KEY_VARIABLE} holds characters that no key has; copy it again"
        raise ConfigError(msg)
    return key
