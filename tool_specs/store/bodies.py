"""Specs and parameters as they lie in a row: JSON, compressed."""

from __future__ import annotations

import hashlib
import json
import zlib
from collections.abc import Iterable, Mapping
from typing import Final

from pydantic import ValidationError

from tool_specs.exceptions import CatalogError
from tool_specs.spec import ToolSpec
from tool_specs.store.rows import Use
from tool_specs.validation import one_line

_LEVEL: Final = 1
"""Level 6 takes a quarter longer and saves three per cent."""


def spec_json(spec: ToolSpec) -> bytes:
    """The spec as JSON with every field, so that a default that changes later changes no stored spec."""
    return spec.model_dump_json().encode()


def digest_of(content: bytes) -> bytes:
    """What tells contents apart: 16 bytes."""
    return hashlib.blake2b(content, digest_size=16).digest()


def check_readable(content: bytes, spec_id: str) -> None:
    """See whether a spec that is about to be stored can be read back, as one changed by `model_copy` may not be.

    Raises:
        CatalogError: A field is invalid.
    """
    try:
        ToolSpec.model_validate_json(content)
    except ValidationError as error:
        msg = f"{spec_id} cannot be stored, its fields are invalid: {one_line(error)}; make specs with ToolSpec(...)"
        raise CatalogError(msg) from error


def packed(content: bytes) -> bytes:
    """The content, compressed."""
    return zlib.compress(content, _LEVEL)


def spec_in(body: bytes, spec_id: str) -> ToolSpec:
    """The spec in a row.

    Raises:
        CatalogError: The row is damaged.
    """
    try:
        return ToolSpec.model_validate_json(zlib.decompress(body))
    except (zlib.error, ValidationError) as error:
        msg = f"the catalog's row of {spec_id} is damaged; fill a new one with `diffagent sync` or `diffagent import`"
        raise CatalogError(msg) from error


def packed_call(call: Mapping[str, object]) -> bytes:
    """The parameters of a piece of evidence."""
    return packed(json.dumps(dict(call), separators=(",", ":")).encode())


def call_in(body: bytes) -> dict[str, object]:
    """The parameters in a row of evidence."""
    call: dict[str, object] = json.loads(zlib.decompress(body))
    return call


def uses_json(uses: Iterable[Use]) -> str:
    """The models of a piece of evidence."""
    return json.dumps([[use.model_id, use.version_id, use.weight] for use in uses], separators=(",", ":"))


def uses_in(text: str) -> tuple[Use, ...]:
    """The models in a row of evidence."""
    return tuple(Use(*entry) for entry in json.loads(text))
