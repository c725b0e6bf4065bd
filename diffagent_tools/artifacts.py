"""The artifact store: pictures as PNG files named by their content.

Everything that a picture needs to be drawn again travels inside it: the A1111 infotext that the community's tools read,
and the call as JSON. What flows through graphs and tools is an `ImageReference`, never the bytes.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import io
import json
import os
import secrets
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final, Literal

from typing_extensions import TypedDict

from tool_specs.calls import Call, parse_call
from tool_specs.exceptions import ArtifactError, CallError

if TYPE_CHECKING:
    from PIL.Image import Image

INFOTEXT_KEY: Final = "parameters"
"""PNG text chunk that A1111 and Civitai read."""
CALL_KEY: Final = "diffagent"
"""PNG text chunk with the call and whatever was stored beside it, as JSON."""
SHEET_KEY: Final = "diffagent-sheet"
"""PNG text chunk of a contact sheet: what is told of each picture on it, as a JSON list."""

_REMEDIES: Final = {
    errno.ENOSPC: "the disk is full; free some space or choose another folder",
    errno.EDQUOT: "the disk quota is used up; free some space or choose another folder",
    errno.EACCES: "it may not be written to; change its permissions or choose another folder",
    errno.EPERM: "it may not be written to; change its permissions or choose another folder",
    errno.EROFS: "the file system is read-only; choose another folder",
    errno.ENOTDIR: "a part of the path is a file; choose another folder",
    errno.EEXIST: "a part of the path is a file; choose another folder",
}


class ImageReference(TypedDict):
    """A picture in the store, small enough for a checkpoint of a graph's state."""

    type: Literal["image"]
    sha256: str
    """Of the file, lower-case hex."""
    path: str
    """Absolute path."""
    width: int
    height: int
    media_type: Literal["image/png"]


class ArtifactStore:
    """A folder of pictures, safe to share between threads and processes: a file is complete from its first moment."""

    def __init__(self, folder: Path | str) -> None:
        """Use a folder; it is made when the first picture is saved.

        Args:
            folder: Where pictures go, as `ab/abcd….png`.
        """
        self.folder = Path(folder).expanduser().absolute()

    def save(
        self, image: Image, call: Call, *, infotext: str, extra: Mapping[str, object] | None = None
    ) -> ImageReference:
        """Store a picture.

        Args:
            image: The picture.
            call: What drew it, with its seed.
            infotext: The same in A1111's words.
            extra: JSON values to keep beside the call, such as a reward.

        Raises:
            ArtifactError: The folder cannot be written to. Nothing half-written is left there.
        """
        return self._save(image, png_of(image, call, infotext=infotext, extra=extra))

    def save_sheet(self, image: Image, cells: Sequence[Mapping[str, object]]) -> ImageReference:
        """Store a picture that shows others beside each other.

        Args:
            image: The picture.
            cells: JSON values about each picture on it; they travel inside the file.

        Raises:
            ArtifactError: The folder cannot be written to. Nothing half-written is left there.
        """
        return self._save(image, _png(image, {SHEET_KEY: json.dumps(list(cells), sort_keys=True)}))

    def _save(self, image: Image, data: bytes) -> ImageReference:
        """Store the file of a picture."""
        digest = hashlib.sha256(data).hexdigest()
        path = self._path(digest)
        if not _holds(path, data):
            _write(path, data)
        return ImageReference(
            type="image",
            sha256=digest,
            path=str(path),
            width=image.width,
            height=image.height,
            media_type="image/png",
        )

    def open(self, reference: ImageReference) -> Image:
        """Read a picture back, checked against its hash.

        Args:
            reference: From `save`; only its hash is used, so the folder may have moved.

        Raises:
            ArtifactError: The picture is not in the store, or was changed.
        """
        return self.load(reference["sha256"])

    def load(self, digest: str) -> Image:
        """Read a picture back by the hash of its file, as a call names the picture that it begins from.

        Args:
            digest: SHA-256 of the file, lower-case hex.

        Raises:
            ArtifactError: The picture is not in the store, or was changed.
        """
        from PIL import Image

        with Image.open(io.BytesIO(self.read(digest))) as picture:
            picture.load()
            return picture

    def find(self, digest: str) -> ImageReference:
        """The reference of a picture in the store.

        Args:
            digest: SHA-256 of the file, lower-case hex.

        Raises:
            ArtifactError: The picture is not in the store, or was changed.
        """
        from PIL import Image

        with Image.open(io.BytesIO(self.read(digest))) as picture:
            width, height = picture.size
        return ImageReference(
            type="image",
            sha256=digest,
            path=str(self._path(digest)),
            width=width,
            height=height,
            media_type="image/png",
        )

    def read(self, digest: str) -> bytes:
        """The PNG file of a picture as it was stored, with its infotext and its call.

        Args:
            digest: SHA-256 of the file, lower-case hex.

        Raises:
            ArtifactError: The picture is not in the store, or was changed.
        """
        if len(digest) != 64 or not set(digest) <= set("0123456789abcdef"):
            msg = f"{digest[:80]!r} is not a SHA-256; use a reference that this store returned"
            raise ArtifactError(msg)
        path = self._path(digest)
        data = _read(path)
        if hashlib.sha256(data).hexdigest() != digest:
            msg = f"the picture {path} was changed or damaged since it was stored; draw it again"
            raise ArtifactError(msg)
        return data

    def _path(self, digest: str) -> Path:
        return self.folder / digest[:2] / f"{digest}.png"


def png_of(image: Image, call: Call, *, infotext: str, extra: Mapping[str, object] | None = None) -> bytes:
    """A picture as a PNG file that holds what drew it.

    Args:
        image: The picture.
        call: What drew it, with its seed.
        infotext: The same in A1111's words.
        extra: JSON values to keep beside the call, such as a reward.
    """
    record = {**(extra or {}), "call": call.model_dump(mode="json")}
    return _png(image, {INFOTEXT_KEY: infotext, CALL_KEY: json.dumps(record, sort_keys=True)})


def read_call(path: Path | str) -> Call:
    """The call inside a PNG that an `ArtifactStore` has written.

    Raises:
        ArtifactError: The file cannot be read, is no PNG, or holds no valid call.
    """
    path = Path(path)
    text = _text_chunks(path).get(CALL_KEY)
    if text is None:
        msg = f"{path} holds no call; it was not drawn by DiffAgent, or another program has rewritten it"
        raise ArtifactError(msg)
    try:
        record = json.loads(text)
        return parse_call(record["call"])
    except (ValueError, TypeError, KeyError, RecursionError, CallError) as error:
        msg = f"the call inside {path} cannot be read ({error}); draw the picture again"
        raise ArtifactError(msg) from error


def _text_chunks(path: Path) -> dict[str, str]:
    from PIL import Image, UnidentifiedImageError

    data = _read(path)
    try:
        with Image.open(io.BytesIO(data), formats=["PNG"]) as picture:
            picture.load()
            return {str(key): str(value) for key, value in picture.info.items() if isinstance(value, str)}
    except (UnidentifiedImageError, Image.DecompressionBombError, OSError, SyntaxError, ValueError) as error:
        msg = f"{path} is not a readable PNG file ({error}); give a picture that DiffAgent has drawn"
        raise ArtifactError(msg) from error


def _png(image: Image, texts: Mapping[str, str]) -> bytes:
    from PIL.PngImagePlugin import PngInfo

    chunks = PngInfo()
    for key, text in texts.items():
        chunks.add_text(key, text)
    buffer = io.BytesIO()
    image.save(buffer, format="PNG", pnginfo=chunks)
    return buffer.getvalue()


def _holds(path: Path, data: bytes) -> bool:
    """Whether the very same picture is stored already."""
    try:
        return path.read_bytes() == data
    except OSError:
        return False


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        msg = f"the picture {path} cannot be read ({error.strerror or error}); check the path"
        raise ArtifactError(msg) from error


def _write(path: Path, data: bytes) -> None:
    """Write a file so that it appears complete or not at all, even when the power goes."""
    partial = path.with_name(f".{path.stem[:16]}.{secrets.token_hex(4)}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            with partial.open("xb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            partial.replace(path)
        finally:
            partial.unlink(missing_ok=True)
        _sync_folder(path.parent)
    except OSError as error:
        with contextlib.suppress(OSError):
            path.parent.rmdir()
        reason = _REMEDIES.get(error.errno or 0, f"{error.strerror or error}; choose another folder")
        msg = f"the picture could not be stored in {path.parent.parent}: {reason}"
        raise ArtifactError(msg) from error


def _sync_folder(folder: Path) -> None:
    """Make the new name itself durable, where the system lets a folder be opened."""
    with contextlib.suppress(OSError):
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
