"""The arguments of a call, written from what retrieval knows: prompt, networks, recommended parameters."""

from __future__ import annotations

import re
from collections.abc import Sequence

from diffagent_tools.chat_models.offers import Offer
from tool_specs.calls import with_trigger_words
from tool_specs.families import FAMILIES
from tool_specs.prompts import NEGATIVE_LABEL, without_loras
from tool_specs.search.shortlist import AnyShortlister, Shortlist, Shortlister
from tool_specs.search.vocabulary import ClosedVocabulary
from tool_specs.spec import ToolSpec

VARIATIONS: tuple[tuple[float, float], ...] = ((1.0, 1.0), (1.5, 1.25), (1.25, 0.8), (2.0, 1.0))
"""For the first, second, … call of one model: factors on its recommended steps and cfg scale."""


def write_arguments(offer: Offer, shortlist: Shortlist, shortlister: AnyShortlister, number: int) -> dict[str, object]:
    """Write the arguments of one tool call, with the networks that the request asks for.

    Args:
        offer: The tool.
        shortlist: What the request was matched with.
        shortlister: Its embedder and thresholds turn the request into words that the model knows.
        number: How often the model was called before; later calls vary steps and cfg scale. The seed is always new.

    Returns:
        The arguments that the tool has, ready for its schema.
    """
    return recommended_arguments(offer, _asked_for(offer, shortlist), shortlist.request, shortlister, number)


def recommended_arguments(
    offer: Offer, networks: Sequence[ToolSpec], request: str, shortlister: AnyShortlister, number: int = 0
) -> dict[str, object]:
    """The same with given networks; those beyond what the family takes are left out."""
    spec, family = offer.spec, FAMILIES[offer.spec.family]
    networks = networks[: family.max_loras]
    more_steps, more_cfg = VARIATIONS[number % len(VARIATIONS)]
    recommended = spec.recommended
    arguments: dict[str, object] = {
        "prompt": write_prompt(spec, networks, request, shortlister),
        "negative_prompt": recommended.negative_prompt if family.has_negative_prompt else "",
        "sampler": recommended.sampler,
        "steps": int(_between(family.min_steps, round(recommended.steps.median * more_steps), family.max_steps)),
        "cfg_scale": round(
            _between(family.min_cfg_scale, recommended.cfg_scale.median * more_cfg, family.max_cfg_scale), 2
        ),
        "width": recommended.width,
        "height": recommended.height,
        "clip_skip": recommended.clip_skip,
        "seed": None,
        "loras": [{"id": network.id, "weight": recommended_weight(network)} for network in networks],
    }
    return {name: value for name, value in arguments.items() if name in offer.properties}


def write_prompt(spec: ToolSpec, networks: Sequence[ToolSpec], request: str, shortlister: AnyShortlister) -> str:
    """The request, in known words where the model needs that, with the trigger words of the networks."""
    prompt = _plain(request)
    if FAMILIES[spec.family].closed_vocabulary and isinstance(shortlister, Shortlister):
        vocabulary = ClosedVocabulary.of(spec, networks, shortlister.embedder, thresholds=shortlister.thresholds)
        prompt = vocabulary.translate(prompt).text
    return with_trigger_words(prompt, networks)


def recommended_weight(network: ToolSpec) -> float:
    """The weight that a network is used with, 1 where nothing is known."""
    spread = network.recommended.weight
    return round(_between(-2.0, spread.median, 2.0), 2) if spread else 1.0


def _asked_for(offer: Offer, shortlist: Shortlist) -> list[ToolSpec]:
    """The networks that the request asks for and the tool accepts: for the same words only the best one."""
    chosen: dict[str, ToolSpec] = {}
    for hit in shortlist.networks:
        if hit.matched and hit.spec.id in offer.networks:
            chosen.setdefault(hit.matched[0].request_words, hit.spec)
    return list(chosen.values())


def _plain(request: str) -> str:
    """The request without what a prompt may not hold: network tags, and a negative prompt behind its label."""
    text, _ = without_loras(request)
    label = NEGATIVE_LABEL.search(text)
    kept = text[: label.start()] if label else text
    return kept.strip(" ,\n") or re.sub(r"[<>]", " ", request).strip()


def _between(low: float, value: float, high: float) -> float:
    return max(low, min(value, high))
