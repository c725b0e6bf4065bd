"""The JSON values of a file, one by one: lines, an array or pages of the API; plain, gzipped or zstandard.

A file is never held in memory, only a value and a block at a time. What cannot be read is an entry with a reason, and
reading goes on behind it as far as that is possible.
"""

from __future__ import annotations

import codecs
import gzip
import json
import re
import sys
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from io import BufferedReader
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING or sys.version_info < (3, 14):
    from backports import zstd
else:
    from compression import zstd

MAX_VALUE: Final = 32_000_000
"""Longest value that is read, in bytes of a line or characters of a document; the API's own have some 100,000."""

_BLOCK: Final = 1 << 16
_SNIFFED: Final = 4096
_GZIP: Final = b"\x1f\x8b"
_ZSTD: Final = b"\x28\xb5\x2f\xfd"
_BOM: Final = b"\xef\xbb\xbf"
_JSON_START: Final = re.compile(rb"\s*[\[{]")
_EMPTY: Final = re.compile(rb"\A\s*(?:(?:\{\s*\}|\[\s*\])\s*)*+")
"""Empty values at the beginning, which show nothing of the layout."""
_OPENING: Final = re.compile(r"\s*:\s*\[")
_BETWEEN: Final = re.compile(r"[\s,]*")
_SCALAR: Final = re.compile(r'[^\s,"{}\[\]]+')
_TOKEN: Final = re.compile(r'"(?:[^"\\]++|\\.)*+"|[{}\[\]"]', re.DOTALL)
_DEPTH: Final = MappingProxyType({"{": 1, "[": 1, "}": -1, "]": -1})
_DAMAGE: Final = (EOFError, gzip.BadGzipFile, zlib.error, zstd.ZstdError)
_FAULTS: Final = (*_DAMAGE, OSError)
_DECODER: Final = json.JSONDecoder()

OnBytes = Callable[[int], None]
"""Called with the bytes of the file that have been read so far."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One value of a file, or the reason why there is none.

    Attributes:
        place: Where it stands: "line 12", "item 7".
        value: The value.
        reason: Why it could not be read; empty where it could.
    """

    place: str
    value: object = None
    reason: str = ""


def holds_json(path: Path) -> bool:
    """Whether a file begins like JSON, whatever its name, or is packed and damaged.

    Raises:
        OSError: The file cannot be read.
    """
    with path.open("rb") as raw:
        try:
            start = _unpacked(raw).read(_SNIFFED)
        except _DAMAGE:
            return True
    return _JSON_START.match(start.removeprefix(_BOM)) is not None


def entries(path: Path, *, on_bytes: OnBytes | None = None) -> Iterator[Entry]:
    """Read the values of a file: of JSON lines, an array, a page (`{"items": […]}`), lines of pages, or one object.

    Args:
        path: The file.
        on_bytes: Told the progress, in bytes of the file as it lies on the disk.
    """
    place = "file"
    try:
        with path.open("rb") as raw:
            for entry in _values(_unpacked(raw)):
                place = entry.place
                yield from _taken_apart(entry)
                if on_bytes is not None:
                    on_bytes(raw.tell())
    except _FAULTS as error:
        after = "" if place == "file" else f" behind {place}"
        yield Entry("file", reason=f"it is damaged or cut off{after}: {error}")


def _unpacked(raw: BufferedReader) -> BufferedReader:
    magic = raw.read(4)
    raw.seek(0)
    if magic.startswith(_GZIP):
        return BufferedReader(gzip.GzipFile(fileobj=raw), _BLOCK)
    return BufferedReader(zstd.ZstdFile(raw), _BLOCK) if magic.startswith(_ZSTD) else raw


def _values(file: BufferedReader) -> Iterator[Entry]:
    """An array or page where the file begins like one, objects where a line only begins one, else lines."""
    head = _EMPTY.sub(b"", file.peek(_BLOCK).removeprefix(_BOM), count=1)
    first, end, _ = head.partition(b"\n")
    begins_more = end and first.rstrip().endswith((b"{", b"[", b","))
    return _elements(file) if begins_more or _list_start(head.decode("utf-8", "replace"), 0) else _lines(file)


def _taken_apart(entry: Entry) -> Iterator[Entry]:
    """The items of a page; anything else as it is."""
    items = entry.value.get("items") if isinstance(entry.value, dict) else None
    if not isinstance(items, list):
        yield entry
        return
    for number, item in enumerate(items, 1):
        yield Entry(f"{entry.place}, item {number}", item)


def _lines(file: BufferedReader) -> Iterator[Entry]:
    number, line = 1, file.readline(MAX_VALUE).removeprefix(_BOM)
    while line:
        place = f"line {number}"
        if len(line) >= MAX_VALUE and not line.endswith(b"\n"):
            yield Entry(place, reason=f"it is longer than {MAX_VALUE:,} bytes")
            while line and not line.endswith(b"\n"):
                line = file.readline(_BLOCK)
        elif line.strip():
            yield _parsed(place, line.decode("utf-8", errors="replace"))
        number, line = number + 1, file.readline(MAX_VALUE)


def _parsed(place: str, text: str) -> Entry:
    try:
        return Entry(place, json.loads(text))
    except (ValueError, RecursionError) as error:
        return Entry(place, reason=f"it is no JSON: {error}")


def _elements(file: BufferedReader) -> Iterator[Entry]:
    """The elements of arrays and of pages' items, or one object after the other."""
    text = _Text(file)
    number = at = 0
    closing = ""
    while True:
        at = _behind(_BETWEEN, text.buffer, at)
        left = len(text.buffer) - at
        if left < _BLOCK and not text.ended:
            at = text.move_on(at, 2 * _BLOCK)
            continue
        if not left:
            if closing or text.fault:
                yield Entry("file", reason=text.fault or f"it ends in the middle, behind item {number}")
            return
        if not closing and (start := _list_start(text.buffer, at)):
            at, closing = start
            continue
        if closing and text.buffer[at] == "]":
            value, stop = None, _end_of_list(text.buffer, at, closing)
        else:
            value, stop = _value(f"item {number + 1}", text.buffer, at)
        if stop is None and not text.ended and left <= MAX_VALUE:
            at = text.move_on(at, 2 * left + _BLOCK)
        elif stop is None:
            too_long = f"item {number + 1} is longer than {MAX_VALUE:,} characters"
            yield Entry("file", reason=text.fault or ("it ends in the middle" if text.ended else too_long))
            return
        else:
            at = stop
            if value is None:
                closing = ""
            else:
                number += 1
                yield value


def _value(place: str, text: str, at: int) -> tuple[Entry | None, int | None]:
    """The value that begins at a place, and where it ends; None where the text ends before."""
    try:
        value, stop = _DECODER.raw_decode(text, at)
    except (ValueError, RecursionError) as error:
        return Entry(place, reason=f"it is no JSON: {error}"), _end_of_value(text, at)
    return Entry(place, value), stop


class _Text:
    """The part of a document that is being read."""

    def __init__(self, file: BufferedReader) -> None:
        self._decode = codecs.getincrementaldecoder("utf-8-sig")(errors="replace").decode
        self._file = file
        self.buffer = ""
        self.ended = False
        self.fault = ""

    def move_on(self, at: int, length: int) -> int:
        """Forget what lies before a place and read until so many characters are there; return the place's new index."""
        parts = [self.buffer[at:]]
        have = len(parts[0])
        while have < length and not self.ended:
            block = b""
            try:
                block = self._file.read1(_BLOCK)
            except _FAULTS as error:
                self.fault = f"it is damaged or cut off: {error}"
            self.ended = not block
            parts.append(self._decode(block, self.ended))
            have += len(parts[-1])
        self.buffer = "".join(parts)
        return 0


def _list_start(text: str, at: int) -> tuple[int, str] | None:
    """Where the elements of an array or of a page's items begin, and what closes them; None for anything else."""
    if text.startswith("[", at):
        return at + 1, "]"
    depth = 0
    for token in _TOKEN.finditer(text, at):
        if depth == 1 and token[0] == '"items"' and (opening := _OPENING.match(text, token.end())):
            return opening.end(), "]}"
        depth += _DEPTH.get(token[0], 0)
        if depth <= 0:
            break
    return None


def _end_of_list(text: str, at: int, closing: str) -> int | None:
    """Where the array ends whose bracket is at a place, with the page around it if there is one."""
    return at + 1 if closing == "]" else _end_of_value(text, at + 1, depth=1)


def _behind(pattern: re.Pattern[str], text: str, at: int) -> int:
    match = pattern.match(text, at)
    return match.end() if match else at


def _end_of_value(text: str, at: int, *, depth: int = 0) -> int | None:
    """Where a value ends that is no JSON, by its brackets; None where the text ends before."""
    if not depth and (scalar := _SCALAR.match(text, at)):
        return scalar.end() if scalar.end() < len(text) else None
    for token in _TOKEN.finditer(text, at):
        depth += _DEPTH.get(token[0], 0)
        if token[0] == '"':
            return None
        if depth <= 0:
            return token.end()
    return None
