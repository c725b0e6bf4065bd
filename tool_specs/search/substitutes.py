"""What to use instead of a model that is gone or may not be offered, and what will be different."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import Final

import numpy as np

from tool_specs.families import FAMILIES
from tool_specs.ranking.documents import KINDS
from tool_specs.ranking.features import Request
from tool_specs.ranking.ranking import rank
from tool_specs.ranking.texts import numbered
from tool_specs.ranking.view import View
from tool_specs.search.ranked import RankedShortlister
from tool_specs.spec import ToolSpec

MAX_PROMPTS: Final = 8
"""Prompts of the lost model that the others are tried on."""
MAX_TRIGGERS: Final = 3


@dataclass(frozen=True, slots=True)
class Substitute:
    """A model that may be offered instead.

    Attributes:
        spec: Its version.
        score: How well it suits what the other was used for; comparable within one answer.
        changes: What will be different, a few words each.
    """

    spec: ToolSpec
    score: float
    changes: tuple[str, ...]


def substitutes(shortlister: RankedShortlister, lost: ToolSpec, k: int = 3) -> tuple[Substitute, ...]:
    """The at most `k` models that may be offered and suit what another one is used for, the best first.

    Only models of its family count: what goes with it goes with them. What draws nothing, such as a VAE, has none.
    """
    if (kind := KINDS.get(lost.type)) is None:
        return ()
    view, weights = shortlister.index.view(), shortlister.index.weights
    allowed = np.zeros(len(view.models), dtype=bool)
    for base_model in FAMILIES[lost.family].base_models or (lost.base_model,):
        allowed |= view.rows_with(int(numbered([base_model])[0]))
    allowed &= (view.models.ids != lost.model_id) & (view.kind == kind)
    requests = Request.read(_requests(shortlister, view, lost), weights.encoder)
    totals: dict[int, float] = defaultdict(float)
    for (ranking,) in rank(view, weights.scorer, requests, [allowed]):
        for row, score in zip(ranking.rows.tolist(), ranking.scores.tolist(), strict=True):
            totals[int(view.models.ids[row])] += score / len(requests)
    found: list[Substitute] = []
    database = shortlister.catalog.database
    for model_id, score in sorted(totals.items(), key=lambda item: -item[1]):
        if len(found) == k:
            break
        versions = database.versions([model_id])[model_id]
        usable = (one for one in versions if one.family == lost.family and not shortlister.rules.reason_against(one))
        if (spec := next(usable, None)) is not None:
            found.append(Substitute(spec, score, changes(lost, spec)))
    return tuple(found)


def changes(lost: ToolSpec, spec: ToolSpec) -> tuple[str, ...]:
    """What is different with another model, a few words each."""
    found = []
    if spec.base_model != lost.base_model:
        found.append(f"made for {spec.base_model} instead of {lost.base_model}")
    if spec.type != lost.type:
        found.append(f"a {spec.type} instead of a {lost.type}")
    if set(spec.trigger_words) != set(lost.trigger_words):
        words = ", ".join(spec.trigger_words[:MAX_TRIGGERS])
        found.append(f"trigger words: {words}" if words else "no trigger words")
    if lost.license.may_sell_images and not spec.license.may_sell_images:
        found.append("pictures may not be sold")
    if (spec.recommended.width, spec.recommended.height) != (lost.recommended.width, lost.recommended.height):
        found.append(f"draws at {spec.recommended.width}x{spec.recommended.height}")
    return tuple(found)


def _requests(shortlister: RankedShortlister, view: View, lost: ToolSpec) -> list[str]:
    """What the lost model was asked for, and what is written about it."""
    documents, model_ids = view.prompts.links
    mine = view.prompts.ids[documents[model_ids == lost.model_id]][:MAX_PROMPTS]
    known = shortlister.catalog.database.evidence([int(number) for number in mine if number >= 0])
    return [f"{lost.model_name}, {', '.join(lost.tags)}", *(evidence.text for evidence in known.values())]
