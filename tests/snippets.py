"""The Python that a page of the docs shows."""

from __future__ import annotations

import re
from pathlib import Path


def snippets(page: Path) -> list[str]:
    """Its fenced Python blocks, in order."""
    return re.findall(r"^```python\n(.+?)^```$", page.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE)


def executed(code: str, names: dict[str, object]) -> None:
    """Run a block; what it defines is left in `names`, for the blocks after it."""
    exec(compile(code, "<snippet>", "exec"), names)
