"""From an infotext to what it says, surviving what people and tools have made of the format."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Final

from tool_specs.prompts import NEGATIVE_LABEL, clean_prompt, clean_text, without_loras
from tool_specs.samplers import canonical_sampler

MAX_INFOTEXT: Final = 200_000
"""Longest text that is read, in characters; what lies beyond it is ignored."""

_KNOWN_KEYS: Final = (
    "Steps", "Sampler", "Schedule type", "CFG scale", "Distilled CFG Scale", "Seed", "Size", "Model hash", "Model",
    "Clip skip", "ENSD", "Denoising strength", "VAE", "VAE hash", "Version", "Hires upscale", "Batch size", "Eta",
)  # fmt: skip
_KNOWN_PAIR: Final = re.compile(r"(?:^|[,\s])(" + "|".join(_KNOWN_KEYS) + r"):[ \t]*[^\s,]", re.IGNORECASE)
_STARTS_WITH_KEY: Final = re.compile(r"\s*(?:" + "|".join(_KNOWN_KEYS) + r"):", re.IGNORECASE)
_FIRST_KEY: Final = re.compile(r"Steps:\s*\d+\s*,")
_LEAST_PAIRS: Final = 3
"""As in A1111: a line with fewer known pairs belongs to the prompt."""

_PAIR_START: Final = re.compile(r"\s*([^\s:,\"{}\[\]][^:,\"\n{}\[\]]{0,60}):\s*")
_WHOLE_LINE_KEYS: Final = frozenset({"template", "negative template"})
_HASH: Final = re.compile(r"(?:0x)?[0-9a-fA-F]{8,64}\b")
_ADDITIONAL_NETWORK: Final = re.compile(r"AddNet Model (\d+)")
_FIELD_END: Final = re.compile(r"[,\n]")
_SEPARATOR: Final = re.compile(r"\s*(?:[,\n]|\Z)")
_NUMBER: Final = re.compile(r"[-+]?(?:\d{1,25}\.?\d*|\.\d+)(?:[eE][-+]?\d{1,3})?")
_SIZE: Final = re.compile(r"\s*(\d{1,5})\s*[xX×*]\s*(\d{1,5})")


@dataclass(frozen=True, slots=True)
class Infotext:
    """What an infotext says; None or empty where it does not.

    Attributes:
        prompt: The prompt without network tags.
        negative_prompt: The negative prompt.
        sampler: The canonical A1111 name with its schedule merged in, or the text as written where it is unknown.
        schedule_type: The separate schedule as written.
        steps: Denoising steps.
        cfg_scale: Guidance; the distilled one for Flux.
        seed: The seed; None for -1, which means that it was chosen at random.
        width: Width of the first pass, in pixels.
        height: Height of the first pass, in pixels.
        clip_skip: A1111's count.
        denoising_strength: How much of the picture it began from was drawn anew; of the second pass in text-to-image.
        model: Name of the checkpoint.
        model_hash: Its hash as written.
        loras: File stem and weight of each network: tags in the prompt, then the Additional Networks extension's.
        extra: Every field that has no attribute here, as written.
    """

    prompt: str = ""
    negative_prompt: str = ""
    sampler: str = ""
    schedule_type: str = ""
    steps: int | None = None
    cfg_scale: float | None = None
    seed: int | None = None
    width: int | None = None
    height: int | None = None
    clip_skip: int | None = None
    denoising_strength: float | None = None
    model: str = ""
    model_hash: str = ""
    loras: tuple[tuple[str, float], ...] = ()
    extra: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))


def parse_infotext(text: str) -> Infotext:
    """Read an infotext.

    Never fails: what cannot be understood stays in the prompt or in `extra`. It reads the settings line wherever it is
    and however it is broken up, quoted and JSON values, prompts and negative prompts glued to the settings, and the
    labels that are copied along.
    """
    head, settings = _split_settings(clean_text(text[:MAX_INFOTEXT]))
    label = NEGATIVE_LABEL.search(head)
    tagged, negative = (head[: label.start()], head[label.end() :]) if label else (head, "")
    prompt, loras = without_loras(clean_prompt(tagged))
    fields = _pairs(settings)

    schedule = fields.pop("schedule type", ("", ""))[1]
    sampler = fields.pop("sampler", ("", ""))[1]
    size = _SIZE.match(fields["size"][1]) if "size" in fields else None
    if size:
        del fields["size"]
    guidance = _number(fields, "cfg scale")
    distilled = _number(fields, "distilled cfg scale")
    seed = _integer(fields, "seed")
    return Infotext(
        prompt=prompt,
        negative_prompt=negative.strip(),
        sampler=canonical_sampler(sampler, schedule) or sampler,
        schedule_type=schedule,
        steps=_integer(fields, "steps"),
        cfg_scale=guidance if distilled is None else distilled,
        seed=None if seed is None or seed < 0 else seed,
        width=int(size[1]) if size else None,
        height=int(size[2]) if size else None,
        clip_skip=_integer(fields, "clip skip"),
        denoising_strength=_number(fields, "denoising strength"),
        model=fields.pop("model", ("", ""))[1],
        model_hash=_hash(fields),
        loras=loras + additional_networks(dict(fields.values())),
        extra=MappingProxyType(dict(fields.values())),
    )


def additional_networks(fields: Mapping[str, str]) -> tuple[tuple[str, float], ...]:
    """The networks that A1111's Additional Networks extension lists: file stem and weight.

    Args:
        fields: Such as `AddNet Model 1: add_detail(7c6bad76eb54)` with `AddNet Weight A 1: -1` (or `AddNet Weight 1`).
    """
    networks = []
    for key, name in fields.items():
        match = _ADDITIONAL_NETWORK.fullmatch(key)
        if match and name and name != "None":
            weight = fields.get(f"AddNet Weight A {match[1]}") or fields.get(f"AddNet Weight {match[1]}") or "1"
            number = _NUMBER.match(weight)
            networks.append((re.sub(r"\([0-9a-f]{8,12}\)$", "", name), float(number[0]) if number else 1.0))
    return tuple(networks)


def _split_settings(text: str) -> tuple[str, str]:
    """Cut the text into what comes before the settings, and the settings with all that follows them."""
    lines = text.split("\n")
    for index in range(len(lines) - 1, -1, -1):
        line = lines[index]
        if len(_KNOWN_PAIR.findall(line)) < _LEAST_PAIRS:
            continue
        before, after = "\n".join(lines[:index]), "\n".join(lines[index:])
        if not _STARTS_WITH_KEY.match(line) and (first := _FIRST_KEY.search(line)):
            glued = line[: first.start()].rstrip()
            return f"{before}\n{glued}", after[first.start() :]
        return before, after
    broken_up = list(re.finditer(r"(?m)^[ \t]*Steps:\s*\d", text))
    if broken_up:
        start = broken_up[-1].start()
        return text[:start], text[start:].replace("\n", " ")
    return text, ""


def _pairs(settings: str) -> dict[str, tuple[str, str]]:
    """Read `Key: value` pairs; the first of several with the same key counts.

    Returns:
        Lower-case key to the key as written and its value.
    """
    pairs: dict[str, tuple[str, str]] = {}
    position = 0
    while position < len(settings):
        match = _PAIR_START.match(settings, position)
        if match is None:
            position = _next_separator(settings, position)
            continue
        key = match[1].strip()
        if key.casefold() in _WHOLE_LINE_KEYS:
            value, _, _ = settings[match.end() :].partition("\n")
            position = match.end() + len(value)
        else:
            value, position = _value(settings, match.end())
        pairs.setdefault(key.casefold(), (key, value))
    return pairs


def _value(settings: str, start: int) -> tuple[str, int]:
    """One value and where the next pair begins: a JSON string, a JSON object or list, or text up to a comma."""
    if settings[start : start + 1] in ('"', "{", "["):
        try:
            parsed, end = json.JSONDecoder().raw_decode(settings, start)
        except (ValueError, RecursionError):
            pass
        else:
            if _SEPARATOR.match(settings, end):
                value = parsed if isinstance(parsed, str) else settings[start:end]
                return value, _next_separator(settings, end)
    end = _next_separator(settings, start)
    return settings[start:end].rstrip(",\n").strip(), end


def _next_separator(settings: str, start: int) -> int:
    """Just behind the next comma or line break."""
    match = _FIELD_END.search(settings, start)
    return match.end() if match else len(settings)


def _hash(fields: dict[str, tuple[str, str]]) -> str:
    """The checkpoint's hash, without the text that is sometimes glued behind it."""
    value = fields.pop("model hash", ("", ""))[1]
    match = _HASH.match(value)
    return match[0] if match else value


def _number(fields: dict[str, tuple[str, str]], key: str) -> float | None:
    """Take a number out of the fields; what begins with none stays there."""
    match = _NUMBER.match(fields.get(key, ("", ""))[1])
    number = float(match[0]) if match else math.inf
    if not math.isfinite(number):
        return None
    del fields[key]
    return number


def _integer(fields: dict[str, tuple[str, str]], key: str) -> int | None:
    """Take a whole number out of the fields, exact also beyond what a float can hold."""
    match = _NUMBER.match(fields.get(key, ("", ""))[1])
    number = _number(fields, key)
    if match is None or number is None:
        return None
    return int(match[0]) if match[0].lstrip("+-").isdigit() else int(number)
