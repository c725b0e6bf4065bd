"""Prompt text: what is cleaned away, and the network tags (`<lora:name:0.8>`) that the community writes into it."""

from __future__ import annotations

import math
import re

LORA_TAG = re.compile(r"<(?:lora|lyco|locon):([^<>:]+)(?::([^<>]*))?>", re.IGNORECASE)
"""A network tag of A1111 and its relatives; group 1 is the file stem, group 2 the weights."""

OTHER_TAG = re.compile(r"<(?:hypernet|lora|lyco|locon):[^<>]*>", re.IGNORECASE)
"""Any network tag, well formed or not."""

NEGATIVE_LABEL = re.compile(r"negative prompt\s*:|^[ \t]*negative prompt[ \t]*$", re.IGNORECASE | re.MULTILINE)
"""Where an infotext turns from the prompt to the negative prompt."""

_TAG_AND_BLANK = re.compile(r"[ \n]?" + OTHER_TAG.pattern, re.IGNORECASE)
_TAG_OPENING = re.compile(r"<+(?=(?:hypernet|lora|lyco|locon):)", re.IGNORECASE)
_MAX_NESTING = 8
"""Tags within tags that are cut out; of deeper ones, which nobody writes, only the bracket goes."""
_PROMPT_LABEL = re.compile(
    r"\A\s*(?:parameters\s*:?\s*\n+|parameters\s*:\s+|(?:positive )?prompt\s*:\s*)", re.IGNORECASE
)
_LINE_END = re.compile("\r\n?|[\u2028\u2029]")
_CONTROL = re.compile("[\x00-\x09\x0b-\x1f\x7f-\x9f\ud800-\udfff\ufffe\uffff]")
_INVISIBLE = re.compile(
    r"[\u00ad\u061c\u180e\u200b\u200e\u200f\u202a-\u202e\u2060-\u2069\ufeff\ufff9-\ufffb\U000e0000-\U000e0fff]"
)
"""Joiners and the variation selectors of emoji stay; tag characters, which spell text that only a model sees, go."""


def clean_text(text: str) -> str:
    """Text without control characters, lone surrogates, direction marks and blanks around it; line breaks stay."""
    text = _LINE_END.sub("\n", text)
    return _CONTROL.sub(" ", _INVISIBLE.sub("", text)).strip()


def whole_characters(text: str) -> str:
    """Text without halves of characters (lone surrogates), which no encoding takes."""
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "ignore")


def clean_prompt(text: str) -> str:
    """`clean_text` without the labels that are copied along with a prompt ("Prompt:", "parameters")."""
    cleaned = clean_text(text)
    while (shorter := _PROMPT_LABEL.sub("", cleaned, count=1)) != cleaned:
        cleaned = shorter
    return cleaned.strip()


def without_loras(text: str) -> tuple[str, tuple[tuple[str, float], ...]]:
    """Cut the network tags out of a prompt.

    Returns:
        The prompt without tags, and each network's file stem and weight in order (the first weight where a tag carries
        several, 1.0 where it carries none).
    """
    uses = tuple((match[1].strip(), _first_number(match[2] or "")) for match in LORA_TAG.finditer(text))
    for _ in range(_MAX_NESTING):
        text, count = _TAG_AND_BLANK.subn("", text)
        if not count:
            return text.strip(), uses
    return _TAG_OPENING.sub("", text).strip(), uses


def positive_prompt(text: str) -> str:
    """A prompt, cleaned, without network tags, and without a negative prompt behind its label."""
    return NEGATIVE_LABEL.split(without_loras(clean_prompt(text))[0], maxsplit=1)[0].strip()


def _first_number(weights: str) -> float:
    match = re.search(r"[-+]?(?:\d+\.?\d*|\.\d+)(?:e[-+]?\d+)?", weights, re.IGNORECASE)
    number = float(match[0]) if match else 1.0
    return number if math.isfinite(number) else 1.0
