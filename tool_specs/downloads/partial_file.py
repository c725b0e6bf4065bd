"""The part of a file that has arrived so far."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO, Final

_BLOCK: Final = 1 << 20


class PartialFile:
    """What has arrived of a file, in a hidden file beside its place until all of it has.

    It outlives the process. The tag with which the server marks this state of the file is kept beside it.

    Args:
        target: Where the whole file goes; its folder must be there.

    Attributes:
        size: Bytes that are there.
    """

    def __init__(self, target: Path) -> None:
        self.size = 0
        self.path = target.with_name(f".{target.name}.part")
        self._target = target
        self._tag_path = target.with_name(f".{target.name}.tag")
        self._digest = hashlib.sha256()

    @property
    def sha256(self) -> str:
        """Hash of the bytes that are there, in upper-case hex."""
        return self._digest.hexdigest().upper()

    @property
    def tag(self) -> str:
        """The server's mark of the state that the part is from; empty where it gave none."""
        try:
            return self._tag_path.read_text(encoding="ascii")
        except (FileNotFoundError, UnicodeDecodeError):
            return ""

    def take_up(self, on_bytes: Callable[[int], None]) -> None:
        """Read what an earlier download left.

        Args:
            on_bytes: Called with the bytes read so far.
        """
        self._forget()
        if not self.path.is_file():
            return
        with self.path.open("rb") as file:
            while block := file.read(_BLOCK):
                self._count(block)
                on_bytes(self.size)

    def begin(self, tag: str) -> None:
        """Drop what is there, and remember whose part what follows is."""
        self.drop()
        if tag:
            self._tag_path.write_text(tag, encoding="ascii")

    def opened(self) -> BinaryIO:
        """The part, to append to; unbuffered, so that nothing that arrived is lost when the process ends."""
        return self.path.open("ab", buffering=0)

    def append(self, file: BinaryIO, block: bytes) -> None:
        """Add what has arrived.

        Args:
            file: What `opened` gave.
            block: The bytes.
        """
        rest = memoryview(block)
        while rest:
            written = file.write(rest)
            self._count(rest[:written])
            rest = rest[written:]

    def start(self) -> bytes:
        """The first nine bytes."""
        with self.path.open("rb") as file:
            return file.read(9)

    def drop(self) -> None:
        """Remove it."""
        self.path.unlink(missing_ok=True)
        self._tag_path.unlink(missing_ok=True)
        self._forget()

    def finish(self) -> None:
        """Put the file in its place, on the disk itself before its name shows."""
        with self.path.open("rb") as file:
            os.fsync(file.fileno())
        self.path.replace(self._target)
        self._tag_path.unlink(missing_ok=True)

    def _count(self, block: bytes | memoryview) -> None:
        self._digest.update(block)
        self.size += len(block)

    def _forget(self) -> None:
        self._digest = hashlib.sha256()
        self.size = 0
