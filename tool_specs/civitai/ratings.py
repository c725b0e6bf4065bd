"""How safe a model is to show: its flags, and its own words, since the flags alone let much through."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Final

from tool_specs.civitai.values import flag_of, integer_of
from tool_specs.spec import ContentRating

_EXPLICIT: Final = re.compile(
    r"\b(?:nsfw|nude|nudes|nudity|naked|sex|sexual|sexy time|porn|porno|pornstar|hentai|ahegao|nipples?|penis|vagina|"
    r"pussy|cum|cumshot|blowjob|fellatio|handjob|dildo|masturbat\w*|orgasm|creampie|bukkake|futa\w*|bdsm|bondage|fetish|genital\w*"
    r"|topless|bottomless|uncensored|erotic\w*|xxx|r18|r-18|loli|lolicon|shota|shotacon|rape|guro)\b",
    re.IGNORECASE,
)
_MATURE: Final = re.compile(
    r"\b(?:sexy|lingerie|bikini|swimsuit|underwear|panties|thong|cleavage|busty|breasts?|boobs?|seductive|gore|suggestive|dick|cock"
    r"|pantyhose|bunny ?girl|ass)\b",
    re.IGNORECASE,
)

_PG: Final = 1
_PG13: Final = 2
_R: Final = 4
_SAFE_LEVELS: Final = (_PG, _PG13, _PG | _PG13)
_SAFE_LABELS: Final = ("None", "Soft")
"""Old image labels that were meant to be safe."""


def content_rating(record: Mapping[str, object], version: Mapping[str, object], texts: Iterable[str]) -> ContentRating:
    """Rate a model version.

    Args:
        record: The model object; its `nsfw` flag counts, its `nsfwLevel` is a union over images.
        version: The version object; a level without any bit for PG or PG-13 means that no picture of it is safe.
        texts: Its names, tags and trigger words.
    """
    said = text_rating(" ".join(texts))
    if flag_of(record.get("nsfw")) or said == "explicit":
        return "explicit"
    level = integer_of(version.get("nsfwLevel"), most=63) or integer_of(record.get("nsfwLevel"), most=63) or _PG
    if not level & (_PG | _PG13):
        return "mature" if level & _R else "explicit"
    return said


def text_rating(text: str) -> ContentRating:
    """Rate a text, such as a prompt, by its words."""
    words = text.replace("_", " ")
    if _EXPLICIT.search(words):
        return "explicit"
    return "mature" if _MATURE.search(words) else "safe"


def is_safe_image(image: Mapping[str, object], prompt: str) -> bool:
    """Whether an example picture and its prompt may be shown: rated at most PG-13, without explicit words.

    Old records rate by label, new ones by level: where there are both, both must be safe, and what cannot be read is
    not.
    """
    label, level = image.get("nsfw"), image.get("nsfwLevel")
    if image.get("browsingLevel") is not None:
        level = image.get("browsingLevel")
    safe = label in (None, False, *_SAFE_LABELS) and (
        level in (None, *_SAFE_LABELS) or integer_of(level) in _SAFE_LEVELS
    )
    shows_person = flag_of(image.get("minor")) or flag_of(image.get("poi"))
    return safe and not shows_person and text_rating(prompt) != "explicit"
