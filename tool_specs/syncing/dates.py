"""When models were published, in seconds since 1970."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime

from tool_specs.civitai.values import mapping_of, moment_of, sequence_of


def published(record: Mapping[str, object]) -> int | None:
    """When a model's newest version was published, by which the listing is ordered; None where it does not say."""
    versions = (mapping_of(version) for version in sequence_of(record.get("modelVersions")))
    return newest_of(_seconds(version.get("publishedAt") or version.get("createdAt")) for version in versions)


def newest_of(dates: Iterable[int | None]) -> int | None:
    """The latest of some dates, of which any may be unknown."""
    return max((date for date in dates if date is not None), default=None)


def date_of(seconds: int | None) -> datetime | None:
    """A date to show."""
    return None if seconds is None else datetime.fromtimestamp(seconds, UTC)


def _seconds(value: object) -> int | None:
    moment = moment_of(value)
    return None if moment is None else int(moment.timestamp())
