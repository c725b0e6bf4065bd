"""Several rankings made one."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from typing import Final

DEPTH: Final = 50
"""Places of each ranking that count."""
_RANK: Final = 60
"""The usual constant of reciprocal rank fusion."""


def fused(rankings: Iterable[Iterable[str]], k: int) -> list[str]:
    """The first k ids by reciprocal rank fusion; an id counts once in a ranking, where it comes first."""
    scores: defaultdict[str, float] = defaultdict(float)
    for ranking in rankings:
        for place, spec_id in enumerate(dict.fromkeys(ranking), 1):
            scores[spec_id] += 1 / (_RANK + place)
    return sorted(scores, key=lambda spec_id: -scores[spec_id])[:k]
