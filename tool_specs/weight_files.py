"""Weights files: the safetensors header, checked; what a file is, read from its tensors; its hash.

Nothing here loads a tensor or runs code from a file. The format: eight bytes of little-endian header length, a JSON
header of names, dtypes, shapes and offsets, then the tensors (https://github.com/huggingface/safetensors#format).
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from types import MappingProxyType
from typing import Final

from tool_specs.exceptions import WeightsError
from tool_specs.weight_identity import WeightsIdentity, identify_tensors

MAX_HEADER: Final = 100_000_000
"""Longest header that the format allows, in bytes."""

_MAX_REMEMBERED: Final = 2_000_000
"""Longest header that is remembered, in bytes; ten thousand tensors fit."""

_DTYPES_BY_BITS: Final = MappingProxyType(
    {
        4: ("F4",),
        6: ("F6_E2M3", "F6_E3M2"),
        8: ("BOOL", "U8", "I8", "F8_E5M2", "F8_E4M3", "F8_E8M0"),
        16: ("I16", "U16", "F16", "BF16"),
        32: ("I32", "U32", "F32"),
        64: ("I64", "U64", "F64", "C64"),
    }
)
_BITS: Final = MappingProxyType({dtype: bits for bits, dtypes in _DTYPES_BY_BITS.items() for dtype in dtypes})

_FOREIGN_FORMATS: Final = (
    (b"PK\x03\x04", "a zip or pickled PyTorch file, which can run code when it is loaded"),
    (b"\x80", "a pickle, which can run code when it is loaded"),
    (b"GGUF", "a GGUF file"),
    (b"<", "a web page or XML; the download needed a login, perhaps"),
    (b"{", "plain JSON; an error message was saved in place of the file, perhaps"),
)
_PICKLE_SUFFIXES: Final = frozenset({".ckpt", ".pt", ".pth", ".bin", ".pkl"})


@dataclass(frozen=True, slots=True)
class Tensor:
    """One entry of a header."""

    dtype: str
    shape: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class SafetensorsHeader:
    """The checked header of a safetensors file.

    Attributes:
        tensors: Dtype and shape by tensor name.
        metadata: Free text that trainers write ("ss_base_model_version", "modelspec.architecture", …).
        data_offset: Where the tensors begin, in bytes from the start of the file.
    """

    tensors: Mapping[str, Tensor]
    metadata: Mapping[str, str]
    data_offset: int


def read_header(path: Path) -> SafetensorsHeader:
    """Read and check the header of a safetensors file, without reading any tensor.

    Raises:
        WeightsError: The file is missing, unreadable, pickled, truncated, or its header is malformed.
    """
    try:
        size = path.stat().st_size
        with path.open("rb") as file:
            start = file.read(9)
            length = check_start(path, start, size)
            raw = start[8:] + file.read(length - 1) if length else b""
    except OSError as error:
        msg = f"{path} cannot be read ({error.strerror or error}): check the path and its permissions"
        raise WeightsError(msg) from error
    # A drawing asks for the headers of its files several times. What is remembered is what these very bytes say.
    check = _remembered if len(raw) <= _MAX_REMEMBERED else _checked
    return check(path, raw, data_size=size - 8 - length)


def check_start(path: Path, start: bytes, size: int) -> int:
    """Check the first bytes of a file, which may still be on its way.

    Args:
        path: What the file is called; nothing is read.
        start: Its first nine bytes.
        size: Its size in bytes, once it is complete.

    Returns:
        The length of the header in bytes.

    Raises:
        WeightsError: It is pickled or of another format, or its header cannot fit into it.
    """
    _refuse_foreign(path, start)
    length = int.from_bytes(start[:8], "little")
    if size < 8 or length > min(MAX_HEADER, size - 8):
        msg = f"{path} is truncated or no safetensors file ({size:,} bytes): download it again"
        raise WeightsError(msg)
    return length


def identify(path: Path) -> WeightsIdentity:
    """What a weights file holds and which family it belongs to, decided from its tensor names and shapes.

    Raises:
        WeightsError: As `read_header`.
    """
    header = read_header(path)
    shapes = {name: tensor.shape for name, tensor in header.tensors.items()}
    return identify_tensors(shapes, header.metadata)


def sha256_of(path: Path, *, on_progress: Callable[[int, int], None] | None = None) -> str:
    """The SHA-256 of a file in upper-case hex, as Civitai writes it.

    Args:
        path: The file.
        on_progress: Called with the bytes hashed so far and the size of the file.

    Raises:
        WeightsError: The file cannot be read.
    """
    digest = hashlib.sha256()
    try:
        size = path.stat().st_size
        with path.open("rb") as file:
            while block := file.read(1 << 20):
                digest.update(block)
                if on_progress is not None:
                    on_progress(file.tell(), size)
    except OSError as error:
        msg = f"{path} cannot be read ({error.strerror or error}): check the path and its permissions"
        raise WeightsError(msg) from error
    return digest.hexdigest().upper()


def _refuse_foreign(path: Path, start: bytes) -> None:
    """Name the format of a file that is something else."""
    # A length that happens to spell another format's magic is still followed by the header's brace.
    formats = () if start[8:] == b"{" else _FOREIGN_FORMATS
    for magic, what in formats:
        if start.startswith(magic):
            msg = f"{path} is {what}: only .safetensors files are loaded"
            raise WeightsError(msg)
    if path.suffix.lower() in _PICKLE_SUFFIXES:
        msg = f"{path} is named like a pickle ({path.suffix}), which can run code: only .safetensors files are loaded"
        raise WeightsError(msg)


def _checked(path: Path, raw: bytes, *, data_size: int) -> SafetensorsHeader:
    try:
        header = json.loads(raw)
        metadata = header.pop("__metadata__", None) or {}
        entries = sorted(
            ((name, _tensor(entry), *_offsets(entry)) for name, entry in header.items()), key=lambda entry: entry[2:]
        )
        text = {str(key): str(value) for key, value in metadata.items()}
    except (ValueError, TypeError, AttributeError, KeyError, RecursionError) as error:
        msg = f"{path} has a malformed safetensors header ({type(error).__name__}): download it again"
        raise WeightsError(msg) from error
    end = 0
    for name, tensor, begin, stop in entries:
        bits = math.prod(tensor.shape) * _BITS[tensor.dtype]
        if begin != end or (stop - begin) * 8 != bits:
            msg = f"{path} has a malformed safetensors header (offsets of {name[:80]!r}): download it again"
            raise WeightsError(msg)
        end = stop
    if end != data_size:
        state = "truncated" if end > data_size else "damaged"
        msg = f"{path} is {state}: {end:,} bytes of tensors promised, {data_size:,} there; download it again"
        raise WeightsError(msg)
    return SafetensorsHeader(
        tensors=MappingProxyType({name: tensor for name, tensor, _, _ in entries}),
        metadata=MappingProxyType(text),
        data_offset=8 + len(raw),
    )


_remembered = lru_cache(maxsize=16)(_checked)


def _tensor(entry: Mapping[str, object]) -> Tensor:
    shape = entry["shape"]
    dtype = entry["dtype"]
    if not isinstance(shape, list) or not all(type(size) is int and size >= 0 for size in shape) or dtype not in _BITS:
        raise ValueError(entry)
    return Tensor(str(dtype), tuple(shape))


def _offsets(entry: Mapping[str, object]) -> tuple[int, int]:
    offsets = entry["data_offsets"]
    if not isinstance(offsets, list) or len(offsets) != 2 or not all(type(offset) is int for offset in offsets):
        raise ValueError(entry)
    begin, stop = offsets
    if not 0 <= begin <= stop:
        raise ValueError(entry)
    return begin, stop
