"""Pairs that nothing could be made of, and why."""

from __future__ import annotations

from collections.abc import Iterable

from pydantic import BaseModel, ConfigDict


class LeftOut(BaseModel):
    """A pair that was passed over."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    pair: str
    """Its id."""
    reason: str


def counted(left_out: Iterable[LeftOut]) -> list[str]:
    """A line for each reason, the most frequent first: how many pairs, why, and the id of the first of them."""
    ids: dict[str, list[str]] = {}
    for one in left_out:
        ids.setdefault(one.reason, []).append(one.pair)
    return [
        f"{len(pairs):>9,}  {reason} (first: {pairs[0]!r})"
        for reason, pairs in sorted(ids.items(), key=lambda entry: -len(entry[1]))
    ]
