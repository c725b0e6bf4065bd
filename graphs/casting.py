"""Which models draw the shots of a story, so that the pictures look as if one hand had made them."""

from __future__ import annotations

from collections.abc import Sequence

from graphs.state import Candidate, LoraOption
from tool_specs.catalog import AnyCatalog
from tool_specs.compatibility import compatible
from tool_specs.families import FAMILIES
from tool_specs.search.shortlist import Shortlist
from tool_specs.spec import ToolSpec


def can_draw(models: Sequence[Candidate]) -> list[Candidate]:
    """Those of a shot's models that can draw it; one with a closed vocabulary can only where it knows a word of it."""
    return [one for one in models if one["matched"] or not FAMILIES[one["family"]].closed_vocabulary]


def style_networks(found: Shortlist) -> list[ToolSpec]:
    """The networks that a style asks for: for the same words the best one.

    Embeddings act through a word of the prompt, which belongs to a single shot: they are no common style.
    """
    chosen: dict[str, ToolSpec] = {}
    for hit in found.networks:
        if hit.matched and hit.spec.type != "TextualInversion":
            chosen.setdefault(hit.matched[0].request_words, hit.spec)
    return list(chosen.values())


def cast(shots: Sequence[Sequence[Candidate]], networks: Sequence[ToolSpec], catalog: AnyCatalog) -> list[str | None]:
    """A checkpoint for each shot, and as few different ones as possible: one for all shots where one can draw all.

    Args:
        shots: For each shot the models that can draw it.
        networks: What gives them their style; of models that draw equally many shots, the one that loads more counts.
        catalog: Where models are looked up.

    Returns:
        Spec ids; `None` for a shot that no model can draw.
    """
    chosen: list[str | None] = [None] * len(shots)
    left = {n for n, models in enumerate(shots) if models}
    while left:
        scores: dict[str, list[float]] = {}
        for n in sorted(left):
            for model in shots[n]:
                scores.setdefault(model["id"], []).append(model["score"])
        best = max(
            scores, key=lambda name: (len(scores[name]), len(_loading(networks, name, catalog)), sum(scores[name]))
        )
        drawn = {n for n in left if any(model["id"] == best for model in shots[n])}
        for n in drawn:
            chosen[n] = best
        left -= drawn
    return chosen


def loras_for(model: str | None, networks: Sequence[ToolSpec], catalog: AnyCatalog) -> list[LoraOption]:
    """The networks that load into a shot's checkpoint, with their recommended weights."""
    if model is None:
        return []
    usable = _loading(networks, model, catalog)[: FAMILIES[catalog.get(model).family].max_loras]
    return [{"id": network.id, "weight": None} for network in usable]


def _loading(networks: Sequence[ToolSpec], model: str, catalog: AnyCatalog) -> list[ToolSpec]:
    checkpoint = catalog.get(model)
    return [network for network in networks if compatible(network, checkpoint).ok]
