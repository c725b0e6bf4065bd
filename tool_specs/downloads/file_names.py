"""What a downloaded file is called here: names from the catalog are a stranger's."""

from __future__ import annotations

import re
import unicodedata
from typing import Final

from tool_specs.spec import ModelFile

_MAX_STEM: Final = 150
"""Bytes; file systems allow 255 for a name, of which partial files and locks need some."""
_SUFFIX: Final = ".safetensors"
_FORBIDDEN: Final = re.compile(r'[<>:"|?*]')
_DEVICES: Final = re.compile(r"(con|prn|aux|nul|com[0-9]|lpt[0-9])(\..*)?", re.IGNORECASE)
"""Names that Windows keeps for devices, with any suffix."""


def file_name(file: ModelFile) -> str:
    """A name that is safe on every system and, where it can be, the community's: prompts name networks by it.

    Args:
        file: A safetensors file of a spec.

    Returns:
        A visible bare name ending in ".safetensors".
    """
    last = re.split(r"[/\\]", unicodedata.normalize("NFC", file.name))[-1]
    plain = "".join(filter(str.isprintable, last))
    stem = re.sub(r"(?i)\.(safetensors|sft)$", "", plain.strip())
    stem = _FORBIDDEN.sub("_", stem).encode()[:_MAX_STEM].decode(errors="ignore").strip(". ")
    if not stem:
        return f"model{_SUFFIX}"
    return f"{'_' if _DEVICES.fullmatch(stem) else ''}{stem}{_SUFFIX}"
