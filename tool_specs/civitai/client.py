"""The client of Civitai's REST API (`/api/v1`)."""

from __future__ import annotations

import asyncio
import os
import re
from collections.abc import Awaitable, Iterable, Mapping
from dataclasses import dataclass
from itertools import chain
from types import TracebackType
from typing import Final, Self

from tool_specs.civitai.connection import KEY_VARIABLE, URL_VARIABLE, Answered, Connection, OnWait
from tool_specs.civitai.queries import ModelQuery
from tool_specs.civitai.ratings import is_safe_image
from tool_specs.civitai.values import flag_of, integer_of, mapping_of, sequence_of, text_of
from tool_specs.exceptions import CivitaiError, RequestError

BASE_URL: Final = "https://civitai.com/api/v1"

_BATCH: Final = 100
"""Most hashes in one request."""
_MAX_ID: Final = 2**31 - 1
_MAX_CURSOR: Final = 2000
_HASH: Final = re.compile(r"[0-9A-F]{8,64}")
_SHA256: Final = re.compile(r"[0-9A-F]{64}")
_OF_NOTHING: Final = "E3B0C44298FC1C14"
"""How the SHA-256 of an empty file begins; some trainers write it, and it finds a model at random."""

JsonObject = Mapping[str, object]


@dataclass(frozen=True, slots=True)
class Page:
    """One page of a listing."""

    items: tuple[JsonObject, ...]
    next_cursor: str | None
    """What to ask for the next page with; None at the end."""


class CivitaiClient:
    """Asks Civitai. Use it as an async context manager, as often as you like, in any event loop.

    Every method raises `CivitaiError` where Civitai cannot be reached, refuses, or gives no data, after as many
    attempts as make sense, and `transient` of the error says whether it may work later.

        async with CivitaiClient() as civitai:
            page = await civitai.models(ModelQuery(types=("LORA",)))
    """

    def __init__(
        self,
        base_url: str | None = None,
        *,
        api_key: str | None = None,
        concurrency: int = 2,
        interval: float = 1.0,
        attempts: int = 6,
        backoff: float = 1.0,
        timeout: float = 120.0,
        max_bytes: int = 64 * 2**20,
        on_wait: OnWait | None = None,
    ) -> None:
        """Prepare to ask; no request is sent yet.

        Args:
            base_url: Address of the API; by default that in the environment variable CIVITAI_API_URL, else Civitai's.
            api_key: Sent to this host only; by default the one in CIVITAI_API_KEY, else none.
            concurrency: Most requests at once.
            interval: Least seconds between the starts of two requests.
            attempts: How often to try a request that may succeed later.
            backoff: Seconds before the second attempt; doubled before each further one, up to 30 times as long.
            timeout: Seconds for one whole answer.
            max_bytes: Longest answer that is read, unpacked.
            on_wait: Called with the reason and the seconds when a request has to wait.

        Raises:
            ConfigError: The address or the key is none, or the key would travel unencrypted.
        """
        self._connection = Connection(
            base_url or os.environ.get(URL_VARIABLE) or BASE_URL,
            api_key=os.environ.get(KEY_VARIABLE) if api_key is None else api_key,
            concurrency=concurrency,
            interval=interval,
            attempts=attempts,
            backoff=backoff,
            timeout=timeout,
            max_bytes=max_bytes,
            on_wait=on_wait,
        )

    @property
    def address(self) -> str:
        """The address of the API."""
        return self._connection.address

    async def __aenter__(self) -> Self:
        await self._connection.__aenter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._connection.__aexit__(kind, error, trace)

    async def models(self, query: ModelQuery, cursor: str | None = None) -> Page:
        """A page of models, as `specs_of` reads them.

        Args:
            query: Which models.
            cursor: The `next_cursor` of the page before; None for the first.
        """
        return await self._connection.ask("/models", _page, parameters=query.parameters(cursor))

    async def model(self, model_id: int) -> JsonObject | None:
        """A model with all its versions; None where there is none, or none any more."""
        return await self._one(f"/models/{model_id}", model_id) if 0 < model_id <= _MAX_ID else None

    async def version(self, version_id: int) -> JsonObject | None:
        """A version; it has no tags, creator and licence, which `model` has. None where there is none."""
        return await self._one(f"/model-versions/{version_id}", version_id) if 0 < version_id <= _MAX_ID else None

    async def by_hash(self, digest: str) -> JsonObject | None:
        """The version that holds the file with a hash of any kind, the oldest of several; None where there is none.

        Raises:
            RequestError: It is no hash.
        """
        digest = digest.strip().upper().removeprefix("0X")
        if not _HASH.fullmatch(digest):
            msg = f"{digest[:80]!r} is no hash; write 8 to 64 hexadecimal digits"
            raise RequestError(msg)
        return None if _is_of_nothing(digest) else await self._one(f"/model-versions/by-hash/{digest}")

    async def by_hashes(self, sha256s: Iterable[str]) -> dict[str, JsonObject]:
        """The versions that hold the files with these hashes.

        Args:
            sha256s: Complete SHA-256 hashes, any number, in any letter case.

        Returns:
            Version by hash in upper case; what is unknown is left out. Of several versions that hold a file it is the
            one whose main file it is, then the oldest.

        Raises:
            RequestError: One is no SHA-256.
        """
        wanted = [digest.strip().upper() for digest in sha256s]
        for digest in wanted:
            if not _SHA256.fullmatch(digest):
                msg = f"{digest[:80]!r} is no SHA-256; write 64 hexadecimal digits"
                raise RequestError(msg)
        unique = [digest for digest in dict.fromkeys(wanted) if not _is_of_nothing(digest)]
        batches = [unique[start : start + _BATCH] for start in range(0, len(unique), _BATCH)]
        path = "/model-versions/by-hash"
        answers = await together(self._connection.ask(path, _objects, content=batch) for batch in batches)
        found: dict[str, tuple[tuple[bool, int], JsonObject]] = {}
        for version in chain.from_iterable(answers):
            for digest, rank in _ranked_hashes(version):
                if digest not in found or rank < found[digest][0]:
                    found[digest] = rank, version
        return {digest: found[digest][1] for digest in unique if digest in found}

    async def images(self, model_version_id: int, cursor: str | None = None) -> Page:
        """A page of pictures that were drawn with a version and that are safe for all, newest first.

        Their `meta` is flat, or None where it is hidden.

        Args:
            model_version_id: The version.
            cursor: The `next_cursor` of the page before; None for the first.
        """
        parameters = [
            ("modelVersionId", str(model_version_id)), ("limit", "100"), ("sort", "Newest"), ("browsingLevel", "1"),
            ("withMeta", "true"), ("flatMeta", "true"), *([] if cursor is None else [("cursor", cursor)]),
        ]  # fmt: skip
        page = await self._connection.ask("/images", _page, parameters=parameters)
        return Page(tuple(_with_flat_meta(item) for item in page.items if _is_shown(item)), page.next_cursor)

    async def enums(self) -> dict[str, tuple[str, ...]]:
        """The names that Civitai knows now, by kind: "ModelType", "BaseModel" and others."""
        found = await self._connection.ask("/enums", _object)
        return {key: tuple(text_of(name) for name in sequence_of(names)) for key, names in found.items()}

    async def _one(self, path: str, wanted: int | None = None) -> JsonObject | None:
        """An object, which must have the id that was asked for; None where there is none."""

        def read(answer: object) -> JsonObject:
            found = _object(answer)
            if wanted is not None and integer_of(found.get("id")) != wanted:
                raise _damaged("the one with the id that was asked for")
            return found

        try:
            return await self._connection.ask(path, read)
        except CivitaiError as error:
            if error.status == 404 and not error.transient:
                return None
            raise


async def together(questions: Iterable[Awaitable[Answered]]) -> list[Answered]:
    """All answers, in order; the first fault ends the questions that are still open."""
    tasks = [asyncio.ensure_future(question) for question in questions]
    try:
        return list(await asyncio.gather(*tasks))
    finally:
        for task in tasks:
            task.cancel()


def _object(answer: object) -> JsonObject:
    if not isinstance(answer, Mapping):
        raise _damaged("an object")
    return answer


def _objects(answer: object) -> list[JsonObject]:
    if not isinstance(answer, list):
        raise _damaged("a list")
    return [mapping_of(one) for one in answer]


def _page(answer: object) -> Page:
    metadata = mapping_of(_object(answer).get("metadata"))
    items = _objects(_object(answer).get("items"))
    cursor = metadata.get("nextCursor")
    if cursor is not None and (isinstance(cursor, bool) or not isinstance(cursor, str | int | float)):
        raise _damaged("a page with a cursor")
    if len(text := "" if cursor is None else str(cursor)) > _MAX_CURSOR:
        raise _damaged(f"a page with a cursor of at most {_MAX_CURSOR:,} characters")
    return Page(tuple(items), text or None)


def _ranked_hashes(version: JsonObject) -> Iterable[tuple[str, tuple[bool, int]]]:
    """The SHA-256 of each file, and how well it stands for this version: main files first, then the oldest."""
    version_id = integer_of(version.get("id"), most=_MAX_ID)
    for file in map(mapping_of, sequence_of(version.get("files"))):
        digest = text_of(mapping_of(file.get("hashes")).get("SHA256")).upper()
        if digest and version_id is not None:
            yield digest, (not flag_of(file.get("primary")), version_id)


def _is_of_nothing(digest: str) -> bool:
    return digest.startswith(_OF_NOTHING[: len(digest)])


def _with_flat_meta(image: JsonObject) -> JsonObject:
    meta = image.get("meta")
    inner = meta["meta"] if isinstance(meta, Mapping) and "meta" in meta else meta
    return {**image, "meta": inner if isinstance(inner, Mapping) else None}


def _is_shown(image: JsonObject) -> bool:
    """Whether it is a picture that is rated safe; the rating by label calls everything safe that it does not know."""
    meta = mapping_of(_with_flat_meta(image)["meta"])
    rated = integer_of(image.get("browsingLevel"), least=1) is not None
    return rated and image.get("type") in (None, "image") and is_safe_image(image, text_of(meta.get("prompt"), 20_000))


def _damaged(expected: str) -> CivitaiError:
    return CivitaiError(f"Civitai's answer is not {expected}; try later", transient=True)
