"""The generation parameters of an example picture, from the many shapes in which the API gives them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

from tool_specs.civitai.text import plain_text
from tool_specs.civitai.values import integer_of, mapping_of, number_of, sequence_of, text_of
from tool_specs.exceptions import CatalogError
from tool_specs.infotext.reading import Infotext, additional_networks, parse_infotext
from tool_specs.naming import parse_spec_id, spec_id
from tool_specs.prompts import NEGATIVE_LABEL, clean_prompt, without_loras
from tool_specs.samplers import canonical_sampler
from tool_specs.spec import Example, LoraUse

MAX_PROMPT: Final = 2000
_MAX_READ: Final = 20_000
_MAX_LORAS: Final = 12
_MAX_WEIGHT: Final = 2.0
_LEAST_SIDE: Final = 16
_NETWORK_TYPES: Final = frozenset({"lora", "locon", "lycoris", "dora"})
_SIZE: Final = re.compile(r"\s*(\d{2,5})\s*[xX×*]\s*(\d{2,5})\s*$")
_SETTINGS: Final = re.compile(r"Steps:\s*\d+\s*,\s*(?:\n\s*)?\w[\w ]*:")


def example_of(meta: object) -> Example | None:
    """Read an image's `meta`.

    Args:
        meta: Whatever the API gave: null, an object of parameters, one nested in `{"id": …, "meta": {…}}`, with numbers
            as text, or with a whole infotext pasted into the prompt.

    Returns:
        The prompt and parameters, with networks taken out of the prompt into `loras`; None without a prompt.
    """
    fields = mapping_of(meta)
    if isinstance(fields.get("meta"), Mapping):
        fields = mapping_of(fields["meta"])
    raw = fields.get("prompt")
    if not isinstance(raw, str) or not raw.strip():
        return None
    raw = raw[:_MAX_READ]
    has_settings = _SETTINGS.search(raw) or NEGATIVE_LABEL.search(raw)
    pasted = parse_infotext(raw) if has_settings else _bare_prompt(raw)
    prompt = tidy_prompt(pasted.prompt)
    if not prompt:
        return None
    negative = fields.get("negativePrompt")
    if isinstance(negative, str) and negative.strip():
        negative, _ = without_loras(clean_prompt(NEGATIVE_LABEL.split(negative[:_MAX_READ])[-1]))
    else:
        negative = pasted.negative_prompt

    width, height = _size(fields)
    if width is None or height is None:
        width, height = _size({"width": pasted.width, "height": pasted.height})
    return Example(
        prompt=prompt,
        negative_prompt=tidy_prompt(negative),
        sampler=_sampler(fields, pasted),
        steps=_first_integer(fields.get("steps"), pasted.steps, least=1, most=1000),
        cfg_scale=_first_number(fields.get("Distilled CFG Scale"), fields.get("cfgScale"), pasted.cfg_scale),
        width=width,
        height=height,
        seed=_first_integer(fields.get("seed"), pasted.seed, least=0, most=2**32 - 1),
        clip_skip=_first_integer(fields.get("Clip skip"), fields.get("clipSkip"), pasted.clip_skip, least=1, most=12),
        loras=_loras(fields, pasted.loras),
    )


def tidy_prompt(text: str) -> str:
    """A prompt on one line for each of its lines, without the commas that removed tags leave; cut to a length."""
    text = re.sub(r"[^\S\n]+", " ", text)
    text = re.sub(r"(?:\s*,){2,}", ",", text)
    text = re.sub(r"\s*\n\s*", "\n", text).strip(" ,\n")
    return text if len(text) <= MAX_PROMPT else text[: MAX_PROMPT - 1].rstrip() + "…"


def _bare_prompt(raw: str) -> Infotext:
    prompt, loras = without_loras(clean_prompt(raw))
    return Infotext(prompt=prompt, loras=loras)


def _sampler(fields: Mapping[str, object], pasted: Infotext) -> str | None:
    schedule = text_of(fields.get("Schedule type") or fields.get("scheduler"), 60)
    return canonical_sampler(text_of(fields.get("sampler"), 100), schedule) or canonical_sampler(pasted.sampler)


def _first_number(*values: object) -> float | None:
    numbers = map(number_of, values)
    return next((number for number in numbers if number is not None and 0 <= number <= 100), None)


def _first_integer(*values: object, least: int, most: int) -> int | None:
    numbers = (integer_of(value, least=least, most=most) for value in values)
    return next((number for number in numbers if number is not None), None)


def _size(fields: Mapping[str, object]) -> tuple[int | None, int | None]:
    """The size of the first pass: old A1111's own field, else `Size`, else `width` and `height` as on-site."""
    for key in ("First pass size", "Size"):
        match = _SIZE.match(text_of(fields.get(key), 30))
        if match and min(int(match[1]), int(match[2])) >= _LEAST_SIDE:
            return int(match[1]), int(match[2])
    width = integer_of(fields.get("width"), least=_LEAST_SIDE, most=16_384)
    height = integer_of(fields.get("height"), least=_LEAST_SIDE, most=16_384)
    return (width, height) if width and height else (None, None)


def _loras(fields: Mapping[str, object], tags: tuple[tuple[str, float], ...]) -> tuple[LoraUse, ...]:
    """Every network of a picture once: tags first, then the extension's, then the two lists of resources."""
    extension = {key: str(value) for key, value in fields.items() if key.startswith("AddNet ") and value is not None}
    found = [*tags, *additional_networks(extension), *_resources(fields.get("resources"))]
    weights: dict[str, float] = {}
    for name, weight in found or _on_site_resources(fields):
        weights.setdefault(plain_text(name, 200), weight)
    weights.pop("", None)
    return tuple(
        LoraUse(id=name, weight=min(max(weight, -_MAX_WEIGHT), _MAX_WEIGHT))
        for name, weight in list(weights.items())[:_MAX_LORAS]
    )


def _resources(value: object) -> list[tuple[str, float]]:
    """`resources`: {type, name, weight?, hash?} of pictures made elsewhere."""
    found = []
    for entry in map(mapping_of, sequence_of(value)):
        name = text_of(entry.get("name"))
        if text_of(entry.get("type")).casefold() in _NETWORK_TYPES and name:
            weight = number_of(entry.get("weight"))
            found.append((name, 1.0 if weight is None else weight))
    return found


def _on_site_resources(fields: Mapping[str, object]) -> list[tuple[str, float]]:
    """`civitaiResources` and `additionalResources`: {type, modelVersionId | air, weight?}, made on the site."""
    found = []
    entries = [*sequence_of(fields.get("civitaiResources")), *sequence_of(fields.get("additionalResources"))]
    for entry in map(mapping_of, entries):
        if text_of(entry.get("type")).casefold() not in _NETWORK_TYPES:
            continue
        name = _resource_id(entry)
        weight = number_of(entry.get("weight", entry.get("strength")))
        if name:
            found.append((name, 1.0 if weight is None else weight))
    return found


def _resource_id(entry: Mapping[str, object]) -> str:
    version = integer_of(entry.get("modelVersionId"), least=1)
    if version is not None:
        return f"civitai:@{version}"
    try:
        model_id, version_id = parse_spec_id(text_of(entry.get("air") or entry.get("name")))
    except CatalogError:
        return ""
    return spec_id(model_id, version_id) if version_id else ""
