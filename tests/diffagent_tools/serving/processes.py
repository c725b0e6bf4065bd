"""Which processes belong to a server: those that inherited a word in their environment."""

from __future__ import annotations

import os
from pathlib import Path


def processes_with(word: str) -> list[str]:
    """The commands of other processes that have a word in their environment."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            if word.encode() in (folder / "environ").read_bytes() and folder.name != str(os.getpid()):
                found.append((folder / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace"))
        except OSError:
            continue
    return found
