"""From a piece of evidence to the call that drew it: its models are looked up and its parameters checked."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from tool_specs.calls import MAX_PROMPT, Call, to_call
from tool_specs.civitai.values import mapping_of, number_of, sequence_of, text_of
from tool_specs.compatibility import compatible
from tool_specs.exceptions import CallError
from tool_specs.families import FAMILIES, Family
from tool_specs.naming import spec_id
from tool_specs.prompts import positive_prompt, without_loras
from tool_specs.samplers import canonical_sampler
from tool_specs.spec import ToolSpec
from tool_specs.store.rows import Evidence, Use

COMPLETE: Final = ("prompt", "sampler", "steps", "cfg_scale", "width", "height")
"""What must be known of a call."""

NO_VERSION: Final = "the version of a model is not known"
NO_MODEL: Final = "a model is not in the catalog"
NO_CHECKPOINT: Final = "its checkpoint is not known"
CHECKPOINTS: Final = "it names several checkpoints"
FAMILY: Final = "its family cannot be drawn here"
NO_NETWORK: Final = "a network in its prompt is not known"
MISFIT: Final = "a network does not load into its checkpoint"
INCOMPLETE: Final = "its parameters are incomplete"
SAMPLER: Final = "its family cannot be drawn with its sampler"
BOUNDS: Final = "its parameters are beyond what its family takes"


@dataclass(frozen=True, slots=True)
class Dropped:
    """A piece of evidence that became no pair, and why."""

    reason: str


@dataclass(frozen=True, slots=True)
class Drawn:
    """A call that drew something, and the specs that it names: the checkpoint's first."""

    call: Call
    specs: tuple[ToolSpec, ...]


def read_call(evidence: Evidence, specs: Mapping[str, ToolSpec]) -> Drawn | Dropped:
    """The call in a piece of evidence.

    The prompt keeps its weights and trigger words, but no network tags. The seed is left out, since nobody could have
    guessed it. A VAE is left out too, since a call names none.

    Args:
        evidence: The models and the parameters as they were found.
        specs: The specs of its models, by id.
    """
    if any(use.version_id is None for use in evidence.uses):
        return Dropped(NO_VERSION)
    used = [(use, specs.get(_id(use))) for use in evidence.uses]
    known = [(use, spec) for use, spec in used if spec is not None]
    if len(known) < len(used):
        return Dropped(NO_MODEL)
    checkpoints = [spec for _, spec in known if spec.is_checkpoint]
    networks = {spec.id: (use, spec) for use, spec in known if spec.is_network}
    if len(checkpoints) != 1:
        return Dropped(CHECKPOINTS if checkpoints else NO_CHECKPOINT)
    (checkpoint,) = checkpoints
    if not FAMILIES[checkpoint.family].drawable:
        return Dropped(FAMILY)
    if any(evidence.call.get(name) in (None, "") for name in COMPLETE):
        return Dropped(INCOMPLETE)
    weights = _weights(evidence, list(networks.values()))
    if weights is None:
        return Dropped(NO_NETWORK)
    if not all(compatible(spec, checkpoint).ok for _, spec in networks.values()):
        return Dropped(MISFIT)
    sampler = canonical_sampler(text_of(evidence.call["sampler"]), text_of(evidence.call.get("schedule")))
    if sampler not in FAMILIES[checkpoint.family].samplers:
        return Dropped(SAMPLER)
    loras = [{"id": network, "weight": weight} for network, weight in weights.items()]
    try:
        call = to_call(checkpoint, {**_parameters(evidence.call, checkpoint), "sampler": sampler, "loras": loras})
    except CallError:
        return Dropped(BOUNDS)
    return Drawn(call, (checkpoint, *(spec for _, spec in networks.values())))


def ids_in(evidence: Sequence[Evidence]) -> list[str]:
    """The spec ids that pieces of evidence name."""
    return [_id(use) for one in evidence for use in one.uses if use.version_id is not None]


def _id(use: Use) -> str:
    return spec_id(use.model_id, use.version_id or 0)


def _parameters(found: Mapping[str, object], checkpoint: ToolSpec) -> dict[str, object]:
    """The parameters as arguments of a call."""
    family = FAMILIES[checkpoint.family]
    negative = found.get("negative_prompt") if family.has_negative_prompt else ""
    return {
        "prompt": _prompt(found["prompt"]),
        "negative_prompt": _prompt(negative)[:MAX_PROMPT],
        "steps": found["steps"],
        "cfg_scale": found["cfg_scale"],
        "width": _size(found["width"], family),
        "height": _size(found["height"], family),
        # Where it is not written, A1111 did not skip any layer.
        "clip_skip": found.get("clip_skip") or 1 if family.max_clip_skip > 1 else 1,
    }


def _size(pixels: object, family: Family) -> object:
    """A side as it was drawn: what a latent has no room for was cut off."""
    return pixels - pixels % family.size_multiple if isinstance(pixels, int) else pixels


def _prompt(text: object) -> str:
    return positive_prompt(text) if isinstance(text, str) else ""


def _weights(evidence: Evidence, networks: Sequence[tuple[Use, ToolSpec]]) -> dict[str, float] | None:
    """The weight of each network; None where the prompt names more networks than are known, or which has which is not.

    A name may be that of a file that its owner renamed, so a name that fits no known network is taken for one of those
    that no name fits. Embeddings are no such networks: prompts name them without a tag.
    """
    tagged = dict(without_loras(str(evidence.call.get("prompt")))[1])
    for entry in map(mapping_of, sequence_of(evidence.call.get("loras"))):
        weight = number_of(entry.get("weight"))
        tagged.setdefault(text_of(entry.get("name")), 1.0 if weight is None else weight)
    named = {name.casefold(): weight for name, weight in tagged.items()}
    weights: dict[str, float] = {}
    nameless, unweighted = 0, []
    for use, spec in networks:
        stem = next((file.stem.casefold() for file in spec.files if file.stem.casefold() in named), "")
        written = named.pop(stem, 1.0)
        weights[spec.id] = written if use.weight is None else use.weight
        if not stem and spec.type != "TextualInversion":
            nameless += 1
            unweighted += [spec.id] if use.weight is None else []
    left = set(named.values())
    if len(named) < nameless:
        left.add(1.0)  # that of a network without a tag
    if len(named) > nameless or (unweighted and len(left) > 1):
        return None
    return weights | dict.fromkeys(unweighted, left.pop() if left else 1.0)
