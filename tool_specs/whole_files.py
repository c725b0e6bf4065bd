"""Files that appear whole or not at all."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def written_whole(path: Path) -> Iterator[Path]:
    """A name beside a path to write to; when the block ends without an error, what was written takes the path's place.

    Args:
        path: Where the file goes; its folder must be there. A file that is there already is replaced.
    """
    partial = path.with_name(f".{path.name}.{secrets.token_hex(4)}.part")
    try:
        yield partial
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


def write_whole(path: Path, text: str) -> None:
    """Write a text file, as `written_whole` does."""
    with written_whole(path) as partial:
        partial.write_text(text, encoding="utf-8")
