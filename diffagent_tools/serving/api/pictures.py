"""Stored pictures as files: in the formats that clients ask for, and by their SHA-256 alone."""

from __future__ import annotations

import asyncio
import io
import re
from typing import Final, Literal, NamedTuple

from fastapi import APIRouter, Request
from PIL import Image
from starlette.responses import Response

from diffagent_tools.artifacts import INFOTEXT_KEY, ArtifactStore
from diffagent_tools.serving.api.errors import ApiError
from tool_specs.exceptions import ArtifactError

PictureFormat = Literal["png", "jpeg", "webp"]
MEDIA_TYPES: Final[dict[str, str]] = {"png": "image/png", "jpeg": "image/jpeg", "webp": "image/webp"}
BEST: Final = 100
PATH: Final = "/pictures"
_NAME: Final = re.compile(r"([0-9a-f]{64})\.(png|jpeg|webp)")
_EXIF: Final = 0x8769
_USER_COMMENT: Final = 0x9286
_KEPT: Final = {
    "Cache-Control": "public, max-age=31536000, immutable",
    "X-Content-Type-Options": "nosniff",
    "Content-Security-Policy": "default-src 'none'",
}
"""A file named by its content never changes."""


class Picture(NamedTuple):
    """A picture as it is sent."""

    data: bytes
    width: int
    height: int

    @property
    def size(self) -> str:
        """Width and height, as OpenAI writes them."""
        return f"{self.width}x{self.height}"


async def picture(store: ArtifactStore, digest: str, kind: PictureFormat, quality: int = BEST) -> Picture:
    """A stored picture in one of the formats, with its infotext.

    Args:
        store: Where it is.
        digest: Its SHA-256.
        kind: PNG is the stored file itself, byte for byte.
        quality: Of JPEG and WebP, 0 to 100.

    Raises:
        ArtifactError: It is not in the store, or was changed.
    """
    return await asyncio.to_thread(_picture, store, digest, kind, quality)


def router(store: ArtifactStore) -> APIRouter:
    """The files, at `/pictures/SHA256.png`, `.jpeg` and `.webp`."""
    routes = APIRouter()

    @routes.get(PATH + "/{name}", name="picture", response_class=Response)
    async def file(name: str) -> Response:
        """A picture that was drawn here."""
        named = _NAME.fullmatch(name)
        try:
            if named is None:
                raise ArtifactError(name)
            kind: PictureFormat = named[2]  # type: ignore[assignment]
            found = await picture(store, named[1], kind)
        except ArtifactError as error:
            msg = "there is no such picture here; use a URL that this server gave"
            raise ApiError(404, msg, code="picture_not_found") from error
        return Response(found.data, media_type=MEDIA_TYPES[kind], headers=_KEPT)

    return routes


def url(request: Request, digest: str, kind: PictureFormat) -> str:
    """Where the client that asks finds a picture."""
    return str(request.url_for("picture", name=f"{digest}.{kind}"))


def _picture(store: ArtifactStore, digest: str, kind: PictureFormat, quality: int) -> Picture:
    data = store.read(digest)
    with Image.open(io.BytesIO(data), formats=["PNG"]) as image:
        if kind != "png":
            data = _translated(image, kind, quality)
        return Picture(data, image.width, image.height)


def _translated(image: Image.Image, kind: PictureFormat, quality: int) -> bytes:
    """JPEG or WebP, the infotext where A1111 puts it in these formats: in the EXIF user comment."""
    image.load()
    exif = Image.Exif()
    infotext = str(image.info.get(INFOTEXT_KEY, ""))
    exif.get_ifd(_EXIF)[_USER_COMMENT] = b"UNICODE\0" + infotext.encode("utf-16-be")
    buffer = io.BytesIO()
    image.convert("RGB").save(buffer, format=kind.upper(), quality=quality, exif=exif)
    return buffer.getvalue()
