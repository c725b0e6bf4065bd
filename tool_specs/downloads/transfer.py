"""One request for what is missing of a file, checked while it arrives."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from tool_specs.downloads.partial_file import PartialFile
from tool_specs.exceptions import DownloadError, WeightsError
from tool_specs.weight_files import check_start

if TYPE_CHECKING:
    import httpx

    from tool_specs.downloads.source import Source

SPARE: Final = 512 * 2**20
"""Bytes that a download leaves free on the disk."""

OnStep = Callable[[str, int, int], None]
"""Called with what is being done, the bytes so far and the bytes at the end."""

_TOLERANCE: Final = 0.01
"""By how much the size in a record may be off."""
_RANGE: Final = re.compile(r"bytes (\d{1,18})-\d{1,18}/(\d{1,18})")
_STRONG_TAG: Final = re.compile(r'"[\x21\x23-\x7e]{1,200}"')


@dataclass(frozen=True, slots=True)
class Wanted:
    """One file to be had, and where it goes."""

    place: str
    """What messages call it."""
    url: httpx.URL
    target: Path
    sha256: str
    """Empty where the record has none."""
    size: int
    """Bytes by the record; 0 where it does not say."""


class Transfer:
    """Fetches parts of files.

    Args:
        source: The server.
        free_space: Gives the bytes that are free on a folder's disk.
        on_step: Told the progress.
    """

    def __init__(self, source: Source, free_space: Callable[[Path], int], on_step: OnStep) -> None:
        self._source = source
        self._free_space = free_space
        self._on_step = on_step

    def attempt(self, wanted: Wanted, part: PartialFile) -> None:
        """Fetch what is missing, in one request.

        Args:
            wanted: The file.
            part: What is there of it; on success it has the promised size and hash.

        Raises:
            DownloadError: Not all of it came, or something else; what is of no use was dropped from the part.
            OSError: It cannot be written.
        """
        resumed_at, tag = part.size, part.tag
        headers = {"Range": f"bytes={resumed_at}-"} if resumed_at else {}
        if resumed_at and tag:
            headers["If-Range"] = tag
        try:
            with self._source.opened(wanted.url, wanted.place, headers) as response:
                total = self._begun(response, wanted, part)
                self._check_space(wanted, total - part.size)
                self._receive(response, wanted, part, total)
        except DownloadError as error:
            if error.status == 416:
                part.drop()
            raise
        if wanted.sha256 and part.sha256 != wanted.sha256:
            got = part.sha256
            part.drop()
            msg = (
                f"{wanted.place}: its SHA-256 is {got[:16]}…, but the record promises {wanted.sha256[:16]}…; "
                "sync the catalog, and do not use the file if that does not help"
            )
            # Of two parts that do not belong together, fetching anew makes one that does.
            raise DownloadError(msg, transient=bool(resumed_at))

    def _begun(self, response: httpx.Response, wanted: Wanted, part: PartialFile) -> int:
        """The size of the whole file; the part is emptied where the answer does not continue it."""
        tag = response.headers.get("etag", "")
        length = response.headers.get("content-length", "")
        if response.status_code == 206:
            found = _RANGE.fullmatch(response.headers.get("content-range", ""))
            if found is None or int(found[1]) != part.size or (part.tag and tag and tag != part.tag):
                part.drop()
                msg = f"{wanted.place}: the server sent another part than the one asked for; it is fetched anew"
                raise DownloadError(msg, transient=True)
            total = int(found[2])
        elif response.status_code == 200 and length.isascii() and length.isdigit():
            part.begin(tag if _STRONG_TAG.fullmatch(tag) else "")
            total = int(length[:18])
        else:
            msg = f"{wanted.place}: the server does not say how long the file is, so it is not fetched; try later"
            raise DownloadError(msg, status=response.status_code)
        if wanted.size and abs(total - wanted.size) > max(1024, wanted.size * _TOLERANCE):
            part.drop()
            msg = (
                f"{wanted.place}: the server's file has {total:,} bytes, the record's {wanted.size:,}; sync the catalog"
            )
            raise DownloadError(msg)
        return total

    def _check_space(self, wanted: Wanted, needed: int) -> None:
        free = self._free_space(wanted.target.parent)
        if needed + SPARE > free:
            msg = (
                f"{wanted.place} needs {needed / 1e9:.2f} GB more and {SPARE / 1e9:.2f} GB to spare, but the disk of "
                f"{wanted.target.parent} has {free / 1e9:.2f} GB free; free some space, or set DIFFAGENT_HOME to "
                "another disk"
            )
            raise DownloadError(msg)

    def _receive(self, response: httpx.Response, wanted: Wanted, part: PartialFile, total: int) -> None:
        """Write what arrives, and stop as soon as it is seen to be something else."""
        checked = False
        with part.opened() as file:
            for block in response.iter_raw():
                part.append(file, block[: total - part.size])
                if not checked and part.size >= min(9, total):
                    self._check_start(wanted, part, total)
                    checked = True
                self._on_step("downloading", part.size, total)
        if part.size != total:
            msg = f"{wanted.place}: the connection ended at {part.size:,} of {total:,} bytes; try again"
            raise DownloadError(msg, transient=True)

    def _check_start(self, wanted: Wanted, part: PartialFile, total: int) -> None:
        try:
            check_start(wanted.target, part.start(), total)
        except WeightsError as error:
            part.drop()
            reason = str(error).removeprefix(f"{wanted.target} ")
            raise DownloadError(f"{wanted.place}: what the server sends {reason}") from error


def free_bytes(folder: Path) -> int:
    """The bytes that are free on the disk of a folder."""
    return shutil.disk_usage(folder).free
