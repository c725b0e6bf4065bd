"""Many queries in a file, answered in blocks and in order."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import BaseModel, ConfigDict, ValidationError

from tool_specs.exceptions import RequestError
from tool_specs.search.ranked import Query
from tool_specs.validation import one_line

if TYPE_CHECKING:
    from tool_specs.search.ranked import RankedShortlister

BLOCK = 64
MAX_TEXT = 2000
"""Characters of a query that are read."""


class _Line(BaseModel):
    """One line of a queries file; what else it holds is left alone."""

    model_config = ConfigDict(coerce_numbers_to_str=True)

    id: str
    text: str
    type: str | None = None
    base_model: str | None = None


def answers(shortlister: RankedShortlister, path: Path, k: int) -> Iterator[dict[str, object]]:
    """The answer to each line of a file: its id and the hits, best first.

    Raises:
        RequestError: A line is no query; the lines before its block were answered.
    """
    lines = queries_in(path)
    while block := list(islice(lines, BLOCK)):
        for query, hits in zip(block, shortlister.answer(block, k), strict=True):
            yield {"id": query.id, "hits": [{**asdict(hit), "score": round(hit.score, 6)} for hit in hits]}


def queries_in(path: Path) -> Iterator[Query]:
    """The queries of a file, a JSON object in each line that is not empty."""
    with path.open(encoding="utf-8", errors="replace") as lines:
        for number, line in enumerate(lines, 1):
            if not line.strip():
                continue
            place = f"line {number} of {path}"
            try:
                read = _Line.model_validate(json.loads(line))
            except ValidationError as error:
                msg = f'{place} is no query ({one_line(error)}): write {{"id": "1", "text": "a red car"}}'
                raise RequestError(msg) from error
            except (ValueError, RecursionError) as error:
                msg = f'{place} is not JSON ({error}): write {{"id": "1", "text": "a red car"}}'
                raise RequestError(msg) from error
            yield Query(read.id, read.text[:MAX_TEXT], read.type, read.base_model)
