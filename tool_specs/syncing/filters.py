"""Which models to keep in step with Civitai."""

from __future__ import annotations

import difflib
import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Final

from tool_specs.civitai.client import CivitaiClient
from tool_specs.civitai.queries import ModelQuery, Period
from tool_specs.civitai.values import integer_of, mapping_of, sequence_of
from tool_specs.exceptions import CivitaiError, RequestError
from tool_specs.spec import RATINGS, ContentRating, ToolSpec

DRAWING_TYPES: Final = ("Checkpoint", "LORA", "LoCon", "DoRA", "TextualInversion", "VAE")
"""Model types that can become specs."""

_DAYS: Final[Mapping[Period, int]] = {"Day": 1, "Week": 7, "Month": 30, "Year": 365}


@dataclass(frozen=True, slots=True, kw_only=True)
class SyncFilters:
    """Which models to read.

    Attributes:
        types: Model types; empty for all.
        base_models: Base models as Civitai spells them; empty for all.
        period: How long ago a model's newest version may have been published.
        min_downloads: Fewest downloads of a model; one that hides the number has none.
        rating: The strongest content rating.
    """

    types: tuple[str, ...] = DRAWING_TYPES
    base_models: tuple[str, ...] = ()
    period: Period = "AllTime"
    min_downloads: int = 0
    rating: ContentRating = "safe"

    def key(self, address: str) -> str:
        """A short name for these filters at an API address: syncs with the same one go on from each other."""
        parts = (address, sorted(self.types), sorted(self.base_models), self.period, self.min_downloads, self.rating)
        return hashlib.sha256(repr(parts).encode()).hexdigest()[:16]

    def query(self, limit: int) -> ModelQuery:
        """What to ask Civitai for; the rest is left out by `admit_record` and `admit`."""
        return ModelQuery(
            types=self.types,
            base_models=self.base_models,
            period=self.period,
            nsfw=self.rating != "safe",
            limit=limit,
        )

    def admit_record(self, record: Mapping[str, object]) -> bool:
        """Whether a model is downloaded often enough."""
        return self.min_downloads == 0 or _downloads(record) >= self.min_downloads

    def admit(self, spec: ToolSpec) -> bool:
        """Whether a version's content is rated within bounds."""
        return RATINGS.index(spec.content_rating) <= RATINGS.index(self.rating)

    def ask_for(self, spec: ToolSpec) -> bool:
        """Whether Civitai would list a version for these filters, as far as its type and base model say."""
        return (not self.types or spec.type in self.types) and (
            not self.base_models or spec.base_model in self.base_models
        )

    def reach(self, now: int) -> int | None:
        """The earliest time that the period reaches back to, in seconds since 1970; None for all time."""
        return now - _DAYS[self.period] * 86_400 if self.period in _DAYS else None


async def known_filters(filters: SyncFilters, client: CivitaiClient) -> SyncFilters:
    """The filters with types and base models as Civitai spells them now.

    Raises:
        RequestError: Civitai knows no such name; it would list nothing for it.
        CivitaiError: Civitai cannot be reached.
    """
    if set(filters.types) <= set(DRAWING_TYPES) and not filters.base_models:
        return filters
    try:
        names = await client.enums()
    except CivitaiError as error:
        if error.transient or error.status != 404:
            raise
        return filters
    return replace(
        filters,
        types=_spelled(filters.types, (*DRAWING_TYPES, *names.get("ModelType", ())), "model type"),
        base_models=_spelled(filters.base_models, names.get("BaseModel", ()), "base model"),
    )


def _spelled(given: Iterable[str], known: Iterable[str], what: str) -> tuple[str, ...]:
    """The names in Civitai's letter case; as they are where it gave no list."""
    by_folded = {name.casefold(): name for name in known}
    if not by_folded:
        return tuple(given)
    for name in given:
        if name.casefold() not in by_folded:
            near = difflib.get_close_matches(name.casefold(), by_folded, n=3) or sorted(by_folded)[:10]
            msg = f"Civitai knows no {what} {name!r}; the nearest are {', '.join(by_folded[one] for one in near)}"
            raise RequestError(msg)
    return tuple(dict.fromkeys(by_folded[name.casefold()] for name in given))


def _downloads(record: Mapping[str, object]) -> int:
    """A model's downloads, else those of its most downloaded version."""
    counted = integer_of(mapping_of(record.get("stats")).get("downloadCount"))
    if counted is not None:
        return counted
    versions = (mapping_of(version) for version in sequence_of(record.get("modelVersions")))
    return max((integer_of(mapping_of(one.get("stats")).get("downloadCount")) or 0 for one in versions), default=0)
