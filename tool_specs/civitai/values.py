"""Values whose type wobbles between records: numbers as text, lists as text, anything as null."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Final

from tool_specs.civitai.text import plain_text

_MOST_ENTRIES: Final = 10_000
_EMPTY: Final[Mapping[str, object]] = {}
_EARLIEST: Final = datetime(2020, 1, 1, tzinfo=UTC)
_LATEST: Final = datetime(9999, 1, 1, tzinfo=UTC)
"""Later dates cannot be shown in every time zone."""


def mapping_of(value: object) -> Mapping[str, object]:
    """The value if it is an object, else an empty one."""
    return value if isinstance(value, Mapping) else _EMPTY


def sequence_of(value: object) -> Sequence[object]:
    """The value if it is a list, its values if it is an object, else nothing."""
    if isinstance(value, Mapping):
        value = list(value.values())
    return value[:_MOST_ENTRIES] if isinstance(value, list | tuple) else ()


def text_of(value: object, limit: int = 200) -> str:
    """Plain text of a string or number, on one line, at most `limit` characters; empty for anything else."""
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        return ""
    return plain_text(str(value), limit).replace("\n", " ")


def number_of(value: object) -> float | None:
    """A finite number, also where it is written as text."""
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        return None
    try:
        number = float(value)
    except (ValueError, OverflowError):
        return None
    return number if math.isfinite(number) else None


def integer_of(value: object, *, least: int = 0, most: int = 2**53) -> int | None:
    """A whole number within bounds, also where it is written as text or with decimals; None otherwise."""
    number = number_of(value)
    if number is None or number != int(number) or not least <= number <= most:
        return None
    return int(number)


def flag_of(value: object, *, default: bool = False) -> bool:
    """A boolean, also where it is written as text."""
    if isinstance(value, bool):
        return value
    if isinstance(value, str) and value.casefold() in ("true", "false"):
        return value.casefold() == "true"
    return default


def moment_of(value: object) -> datetime | None:
    """A date and time, UTC where it names no time zone; None for anything else, and for dates that cannot be meant."""
    if not isinstance(value, str):
        return None
    try:
        moment = datetime.fromisoformat(value.strip())
    except ValueError:
        return None
    aware = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return aware if _EARLIEST <= aware < _LATEST else None
