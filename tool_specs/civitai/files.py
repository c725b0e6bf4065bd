"""The files of a version record."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

from tool_specs.civitai.values import integer_of, mapping_of, number_of, sequence_of, text_of
from tool_specs.spec import FileHashes, ModelFile

_FORMAT_OF_SUFFIX: Final = {
    ".safetensors": "SafeTensor", ".sft": "SafeTensor", ".ckpt": "PickleTensor", ".pt": "PickleTensor",
    ".pth": "PickleTensor", ".bin": "PickleTensor", ".gguf": "GGUF",
}  # fmt: skip
_SHA256: Final = re.compile(r"[0-9A-F]{64}")
_HASH: Final = re.compile(r"[0-9A-F]{8,64}")
_EMPTY_SHA256: Final = "E3B0C44298FC"
"""Start of the hash of nothing, which some trainers write into every file."""


def files_of(version: Mapping[str, object]) -> tuple[ModelFile, ...]:
    """Read the files of a version, less those that a scan found dangerous."""
    files = [_file(entry) for entry in map(mapping_of, sequence_of(version.get("files"))) if not _is_dangerous(entry)]
    return tuple(file for file in files if file is not None)


def _file(entry: Mapping[str, object]) -> ModelFile | None:
    name = text_of(entry.get("name"))
    if not name:
        return None
    metadata = mapping_of(entry.get("metadata"))
    hashes = _hashes(entry.get("hashes"))
    sha256 = hashes.get("SHA256", "")
    return ModelFile(
        id=integer_of(entry.get("id")) or 0,
        name=name,
        type=text_of(entry.get("type")) or "Model",
        format=_format(text_of(metadata.get("format") or entry.get("format")), name),
        size_kb=max(number_of(entry.get("sizeKB")) or 0.0, 0.0),
        fp=text_of(metadata.get("fp")) or None,
        sha256=sha256 if _SHA256.fullmatch(sha256) else None,
        hashes=FileHashes(**{kind: hashes.get(kind, "") for kind in FileHashes.model_fields}),
        download_url=_address(entry.get("downloadUrl")),
        scan=text_of(entry.get("pickleScanResult")),
        primary=entry.get("primary") is True,
    )


def _is_dangerous(entry: Mapping[str, object]) -> bool:
    return "Danger" in (entry.get("pickleScanResult"), entry.get("virusScanResult"))


def _hashes(value: object) -> dict[str, str]:
    """Hashes by kind; old crawls hold a list of {type, hash} instead of an object."""
    if isinstance(value, list):
        entries = [mapping_of(entry) for entry in value]
        value = {text_of(entry.get("type")): entry.get("hash") for entry in entries}
    found = {}
    for kind, written in mapping_of(value).items():
        digits = text_of(written).upper().removeprefix("0X")
        if _HASH.fullmatch(digits) and not digits.startswith(_EMPTY_SHA256):
            found[str(kind)] = digits
    return found


def _format(labelled: str, name: str) -> str:
    """The format by the record, unless the file's suffix shows that it cannot be true."""
    suffix = name[name.rfind(".") :].lower() if "." in name else ""
    by_suffix = _FORMAT_OF_SUFFIX.get(suffix)
    if by_suffix == "PickleTensor" or labelled in ("", "Other"):
        return by_suffix or labelled or "Other"
    return labelled


def _address(value: object) -> str:
    """A web address without the key that some clients leave in it; empty for anything else."""
    text = value if isinstance(value, str) else ""
    if not re.fullmatch(r"https?://[^\s\x00-\x1f<>\"]{1,1900}", text):
        return ""
    return re.sub(r"([?&])token=[^&#]*&?", r"\1", text).rstrip("?&")
