"""The server that files come from: which hosts are asked, who gets the key, and what a refusal means."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from fnmatch import fnmatchcase
from typing import Final

import httpx

from tool_specs.civitai.answers import Answer, data_of, told_by
from tool_specs.civitai.connection import KEY_VARIABLE, LOCAL_HOSTS, checked_address, checked_key, is_same_server
from tool_specs.civitai.text import plain_text
from tool_specs.civitai.values import mapping_of
from tool_specs.exceptions import CivitaiError, ConfigError, DownloadError
from tool_specs.release import release
from tool_specs.spec import ModelFile, ToolSpec

HOSTS_VARIABLE: Final = "DIFFAGENT_DOWNLOAD_HOSTS"
STORAGE_HOSTS: Final = ("civitai.com", "*.civitai.com", "*.r2.cloudflarestorage.com", "*.backblazeb2.com")
"""Where Civitai keeps its files."""

_MAX_REDIRECTS: Final = 5
_MAX_REFUSAL: Final = 100_000
"""Bytes of a refusal that are read."""
_SIGNATURES: Final = (b"signature", b"authorization", b"token")
"""Words in the query of an address that opens a file to whoever has it."""
_REMEDIES: Final[Mapping[int, str]] = {
    401: f"its creator lets only people with an account have it: set {KEY_VARIABLE} to a valid key",
    403: "your key or your region has no access to it",
    404: "the file is not there any more: sync the catalog, or choose another model",
    410: "its creator has archived it: choose another model",
}


class Source:
    """Opens downloads, in any thread.

    Args:
        base_url: Address of Civitai's API.
        api_key: Sent to that very server and to no other; empty for none.
        hosts: Other hosts that a download may be redirected to; `*` stands for any letters.
        timeout: Seconds to wait for the next bytes.

    Raises:
        ConfigError: The address, the key or a host is none.
    """

    def __init__(self, base_url: str, *, api_key: str | None, hosts: Sequence[str], timeout: float) -> None:
        self._base = checked_address(base_url, has_key=bool(api_key))
        self._key = checked_key(api_key)
        self._hosts = tuple(map(_checked_host, hosts))
        self._timeout = timeout
        # Once: adding it again does nothing.
        logging.getLogger("httpx").addFilter(_without_signature)

    def address(self, spec: ToolSpec, file: ModelFile) -> httpx.URL:
        """Where a file of a version is asked for; the answer redirects to where it is stored.

        Raises:
            DownloadError: The record's own address, which tells the file from others, is none.
        """
        root = self._base.path.rstrip("/").removesuffix("/v1")
        url = self._base.copy_with(path=f"{root}/download/models/{spec.version_id}")
        if file.id:
            return url.copy_merge_params({"fileId": str(file.id)})
        # Without its number, the file is told from the version's others as the record does it.
        try:
            return url.copy_merge_params(httpx.URL(file.download_url).params)
        except httpx.InvalidURL as error:
            msg = f"{spec.id}: the address in its record, {file.download_url[:100]!r}, is none; sync the catalog"
            raise DownloadError(msg) from error

    @contextmanager
    def opened(self, url: httpx.URL, place: str, headers: Mapping[str, str]) -> Iterator[httpx.Response]:
        """The answer that holds the file, or the part of it that was asked for, not yet read.

        Args:
            url: From `address`.
            place: What is asked for, as messages name it.
            headers: To send.

        Raises:
            DownloadError: It is refused, or cannot be reached.
        """
        timeout = httpx.Timeout(self._timeout, connect=min(self._timeout, 10))
        fixed = {"User-Agent": f"diffagent-tools/{release()}", "Accept-Encoding": "identity", **headers}
        try:
            with httpx.Client(timeout=timeout, follow_redirects=False) as client:
                for _ in range(_MAX_REDIRECTS + 1):
                    with client.stream("GET", url, headers=fixed | self._authorization(url)) as response:
                        if not response.has_redirect_location:
                            self._check(response, url, place)
                            yield response
                            return
                        location = response.headers["location"]
                    url = self._redirected(url, location, place)
        except (httpx.RequestError, httpx.InvalidURL) as error:
            # Only the kind of error: its text may hold the signed address.
            msg = (
                f"{place}: the connection to {url.host} failed ({type(error).__name__}); check the network, then retry"
            )
            raise DownloadError(msg, transient=True) from None
        msg = f"{place}: redirected more than {_MAX_REDIRECTS} times; try later"
        raise DownloadError(msg)

    def _authorization(self, url: httpx.URL) -> dict[str, str]:
        return {"Authorization": f"Bearer {self._key}"} if self._key and self._is_ours(url) else {}

    def _is_ours(self, url: httpx.URL) -> bool:
        return is_same_server(url, self._base)

    def _redirected(self, url: httpx.URL, location: str, place: str) -> httpx.URL:
        target = url.join(location)
        if self._is_ours(target):
            if "login" in target.path.casefold():
                raise DownloadError(f"{place}: Civitai wants a log-in; {_REMEDIES[401]}", status=401)
            return target
        secure = target.scheme == "https" or (target.scheme == "http" and target.host in LOCAL_HOSTS)
        if not secure or not any(fnmatchcase(target.host, pattern) for pattern in self._hosts):
            where = f"{target.scheme}://{target.host}"[:100]
            msg = (
                f"{place}: redirected to {where!r}, which is not followed; if you trust it, name it in {HOSTS_VARIABLE}"
            )
            raise DownloadError(msg)
        return target

    def _check(self, response: httpx.Response, url: httpx.URL, place: str) -> None:
        """Turn away everything that is not a file."""
        status = response.status_code
        content_type = response.headers.get("content-type", "")
        if status in (200, 206) and "html" not in content_type.casefold():
            return
        if status == 416:
            msg = f"{place}: the server has no such part; it is fetched anew"
            raise DownloadError(msg, status=status, transient=True)
        body = b""
        for block in response.iter_bytes():
            body += block
            if len(body) > _MAX_REFUSAL:
                break
        if self._key:
            body = body.replace(self._key.encode(), b"(the key)")
        if not self._is_ours(url):
            # A signed address is good for a day; the next attempt gets a new one.
            transient = status in (403, 408, 429) or status >= 500
            msg = f"{place}: {url.host}, which stores it, answered {status}; try later"
            raise DownloadError(msg, status=status, transient=transient)
        retry_after = response.headers.get("retry-after", "")
        raise _refusal(Answer(status, content_type, retry_after, body), place)


def _refusal(answer: Answer, place: str) -> DownloadError:
    """What Civitai's refusal means; where the API's own reading has the better words, those."""
    told = told_by(answer.body)
    if answer.status == 403 and "early access" in told.casefold():
        deadline = plain_text(str(mapping_of(json.loads(answer.body)).get("deadline") or ""), 40)
        until = f" until {deadline}" if deadline else ""
        msg = f"{place} is in early access{until}: buy it on Civitai, wait, or choose another model"
        return DownloadError(msg, status=403)
    is_page = "html" in answer.content_type.casefold()
    if answer.status in _REMEDIES and (answer.status == 401 or not is_page):
        said = f" ({told})" if told else ""
        msg = f"{place}: Civitai answered {answer.status}{said}; {_REMEDIES[answer.status]}"
        return DownloadError(msg, status=answer.status)
    try:
        data_of(answer, place)
    except CivitaiError as error:
        return DownloadError(str(error), status=error.status, transient=error.transient, wait=error.wait)
    return DownloadError(f"{place}: Civitai answered {answer.status} without the file; try later", status=answer.status)


def _checked_host(host: str) -> str:
    name = host.strip().casefold()
    # A star in front of a bare top level would let everybody in.
    if not name or any(sign in name for sign in "/:@[]? ") or name.removeprefix("*.").count("*") or name == "*":
        msg = f"{host!r} in {HOSTS_VARIABLE} is no host: write names such as files.example.org or *.example.org"
        raise ConfigError(msg)
    return name


def _without_signature(record: logging.LogRecord) -> bool:
    """Take signatures out of the addresses that httpx logs: such an address is as good as the key for a day."""
    if isinstance(record.args, tuple):
        record.args = tuple(map(_unsigned, record.args))
    return True


def _unsigned(value: object) -> object:
    if isinstance(value, httpx.URL) and any(word in value.query.lower() for word in _SIGNATURES):
        return value.copy_with(query=None)
    return value
