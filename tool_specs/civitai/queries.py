"""What to ask `/models` for, as the query that the server understands."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

Period = Literal["Day", "Week", "Month", "Year", "AllTime"]

MAX_LIMIT: Final = 100
"""Most models on a page."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelQuery:
    """Which models to list, those with the newest version first.

    Attributes:
        types: Model types; empty for all.
        base_models: Base models; empty for all.
        period: How long ago the newest version may have been published.
        nsfw: Whether to list models without a picture that is safe for all.
        limit: Models on a page.
    """

    types: tuple[str, ...] = ()
    base_models: tuple[str, ...] = ()
    period: Period = "AllTime"
    nsfw: bool = False
    limit: int = MAX_LIMIT

    def parameters(self, cursor: str | None = None) -> list[tuple[str, str]]:
        """The query; what is repeated there stands several times here.

        The server knows no lists with commas, and takes the text "false" for true in most flags: those are left out.
        """
        pairs = [("limit", str(self.limit)), ("sort", "Newest"), ("period", self.period)]
        pairs += [("types", one) for one in self.types]
        pairs += [("baseModels", one) for one in self.base_models]
        pairs += [("nsfw", "true")] if self.nsfw else []
        pairs += [] if cursor is None else [("cursor", cursor)]
        return pairs
