"""From a call to its infotext, as A1111 1.9 and later write it."""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Iterable, Mapping
from types import MappingProxyType
from typing import Final

from tool_specs.calls.models import Call
from tool_specs.exceptions import CallError
from tool_specs.prompts import clean_text
from tool_specs.samplers import split_schedule
from tool_specs.spec import ToolSpec

_CHECKPOINT_HASH_DIGITS: Final = 10
_NETWORK_HASH_DIGITS: Final = 12


def to_infotext(
    call: Call,
    *,
    names: Mapping[str, str],
    hashes: Mapping[str, str] = MappingProxyType({}),
    embeddings: Collection[str] = (),
    version: str = "DiffAgent",
) -> str:
    """Print a call as A1111 would.

    Args:
        call: The call, with its seed.
        names: Spec id to the name that the community's tools know: the file stem (`spec_names`).
        hashes: Spec id to the hash to print, cut to A1111's length (`spec_hashes`); specs without one are left out.
        embeddings: Spec ids in the call's `loras` that are textual inversions: words of the prompt name them, no tag.
        version: Who drew it.

    Raises:
        CallError: `names` lacks a spec that the call uses.
    """
    networks = [(use.id, _stem(use.id, names), use.weight) for use in call.loras]
    tags = [f"<lora:{stem}:{_number(weight)}>" for network, stem, weight in networks if network not in embeddings]
    lines = [" ".join([call.prompt, *tags])]
    if call.negative_prompt:
        lines.append(f"Negative prompt: {call.negative_prompt}")

    sampler, schedule = split_schedule(call.sampler)
    redrawn = call.hires.denoising_strength if call.hires else call.denoising_strength
    fields = {
        "Steps": str(call.steps),
        "Sampler": sampler,
        "Schedule type": schedule,
        **_guidance(call),
        "Seed": "-1" if call.seed is None else str(call.seed),
        "Size": f"{call.width}x{call.height}",
        "Model hash": hashes.get(call.checkpoint, "").lower()[:_CHECKPOINT_HASH_DIGITS],
        "Model": _stem(call.checkpoint, names),
        **_variation(call),
        "Denoising strength": "" if redrawn is None else _number(redrawn),
        "Clip skip": str(call.clip_skip) if call.clip_skip > 1 else "",
        "Tiling": "True" if call.tiling else "",
        **_hires(call),
        "Lora hashes": _network_hashes(networks, hashes, of_embeddings=False, embeddings=embeddings),
        "TI hashes": _network_hashes(networks, hashes, of_embeddings=True, embeddings=embeddings),
        "Version": version,
    }
    lines.append(", ".join(f"{key}: {_quoted(value)}" for key, value in fields.items() if value))
    return "\n".join(lines)


def infotext_of(call: Call, specs: Iterable[ToolSpec], *, names: Mapping[str, str] = MappingProxyType({})) -> str:
    """Print a call with the file names and hashes of its models.

    Args:
        call: The call, with its seed.
        specs: Of the models that it uses.
        names: What models are called whose spec is not among these, by spec id.

    Raises:
        CallError: A model has neither a spec nor a name.
    """
    used = list(specs)
    return to_infotext(
        call,
        names={**names, **spec_names(used)},
        hashes=spec_hashes(used),
        embeddings=[spec.id for spec in used if spec.type == "TextualInversion"],
    )


def spec_names(specs: Iterable[ToolSpec]) -> dict[str, str]:
    """Spec id to the stem of its file, or to the model's name where it has no file."""
    return {spec.id: spec.primary_file.stem if spec.primary_file else spec.model_name for spec in specs}


def spec_hashes(specs: Iterable[ToolSpec]) -> dict[str, str]:
    """Spec id to the hash that the community's tools look it up by, for the specs whose record holds one."""
    found = {}
    for spec in specs:
        file = spec.primary_file
        if file is not None:
            digits = (file.hashes.AutoV2 if spec.is_checkpoint else file.hashes.AutoV3) or file.sha256
            if digits:
                found[spec.id] = digits
    return found


def _guidance(call: Call) -> dict[str, str]:
    """Flux has no classifier-free guidance: Forge prints its distilled scale beside a CFG scale of 1."""
    if call.family == "flux1":
        return {"CFG scale": "1", "Distilled CFG Scale": _number(call.cfg_scale)}
    return {"CFG scale": _number(call.cfg_scale)}


def _variation(call: Call) -> dict[str, str]:
    """A1111's fields of a variation."""
    if call.variation is None:
        return {}
    return {
        "Variation seed": str(call.variation.seed),
        "Variation seed strength": _number(call.variation.strength),
    }


def _hires(call: Call) -> dict[str, str]:
    """A1111's fields of a hires fix; the strength stands in the field of image-to-image."""
    if call.hires is None:
        return {}
    return {
        "Hires upscale": _number(call.hires.upscale),
        "Hires steps": "" if call.hires.steps is None else str(call.hires.steps),
        "Hires upscaler": call.hires.upscaler,
    }


def _network_hashes(
    networks: list[tuple[str, str, float]],
    hashes: Mapping[str, str],
    *,
    of_embeddings: bool,
    embeddings: Collection[str],
) -> str:
    return ", ".join(
        f"{stem}: {hashes[network].lower()[:_NETWORK_HASH_DIGITS]}"
        for network, stem, _ in networks
        if network in hashes and (network in embeddings) is of_embeddings
    )


def _stem(spec_id: str, names: Mapping[str, str]) -> str:
    """The printed name of a spec, without the characters that end a tag."""
    if spec_id not in names:
        msg = f"names lacks {spec_id}, which the call uses: pass spec_names(...) of every spec in the call"
        raise CallError(msg)
    return re.sub(r"[<>:\s]+", " ", clean_text(names[spec_id])).strip() or spec_id.replace(":", "-")


def _number(value: float) -> str:
    return str(int(value)) if value == int(value) else repr(value)


def _quoted(value: str) -> str:
    """A1111's quoting: JSON where the value holds what separates fields."""
    return json.dumps(value, ensure_ascii=False) if re.search(r'[,:\n"]|^[\[{]', value) else value
