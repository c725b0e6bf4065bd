"""From the text of a prompt to what it describes, in plain words: no weights, tags, quality words or model names."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Collection, Iterable
from functools import lru_cache
from types import MappingProxyType
from typing import Final

from tool_specs.prompts import positive_prompt
from tool_specs.ranking.texts import words
from tool_specs.spec import ToolSpec

MAX_WORDS: Final = 60
"""Of a description."""
LONGEST: Final = 30
"""Letters of a word; what is longer is an address or a hash."""
ORDINARY: Final = 10
"""A word that is used with so many different models is an ordinary word and gives none away."""

QUALITY: Final = frozenset(
    {
        "2k", "4k", "8k", "16k", "32k", "absurdly", "absurdres", "amazing", "artstation", "award", "awardwinning",
        "best", "cg", "cgsociety", "clean", "detail", "detailed", "details", "deviantart", "exquisite", "extreme",
        "extremely", "fhd", "finely", "focus", "hd", "hdr", "hi", "high", "higher", "highest", "highly", "highres",
        "hires", "hyper", "hyperdetailed", "incredible", "incredibly", "insane", "insanely", "intricate",
        "intricately", "jpeg", "masterpiece", "masterpieces", "newest", "official", "perfect", "pixiv",
        "professional", "qhd", "quality", "rating", "res", "resolution", "safe", "score", "sharp", "sharpness",
        "source", "super", "top", "trending", "uhd", "ultra", "ultradetailed", "ultrahd", "uncompressed", "unity",
        "up", "very", "wallpaper", "winning",
    }
)  # fmt: skip
"""Words that say how good a picture should be and nothing of what it shows."""

SPOKEN: Final = MappingProxyType(
    {
        "1girl": "a girl", "1 girl": "a girl", "2girls": "two girls", "3girls": "three girls",
        "multiple girls": "several girls", "1boy": "a boy", "1 boy": "a boy", "2boys": "two boys",
        "multiple boys": "several boys", "1man": "a man", "1woman": "a woman", "1other": "a figure",
        "solo": "", "solo focus": "", "looking at viewer": "looking at the viewer",
    }
)  # fmt: skip
"""Tags of picture boards as a person would say them; empty where they say nothing."""

_WEIGHT: Final = re.compile(r":\s*[-+]?\d*\.?\d+\s*(?=[)\]}])|:\s*[-+]?\d*\.\d+(?!\w)")
_SYNTAX: Final = re.compile(r"\\(?=[()\[\]])|[()\[\]{}<>]")
_PARTING: Final = re.compile(r"[,;|\n]|\b(?:BREAK|AND)\b")
_SCORE: Final = re.compile(r"(?:score \d(?: up)?|(?:rating|source) \w+)", re.IGNORECASE)
_LIGHT: Final = frozenset({"a", "an", "and", "by", "in", "of", "on", "the", "with"})
_NEVER_FIRST: Final = frozenset({"and", "of"})
_COINED: Final = re.compile(r"(?!\d+(?:s|st|nd|rd|th|mm|cm|k)\b)[\w-]*(?:[a-z][A-Z]|\d[A-Za-z]|[A-Za-z]-?\d)[\w-]*")
"""A word that somebody made up, by its spelling: DreamShaper, epiCRealism, sks2."""


def plain_description(text: str, avoid: Collection[str] = ()) -> str:
    """What a prompt describes, in plain words.

    Args:
        text: A prompt, or the text of a request.
        avoid: Names and trigger words that must not be in it, as `names_in` gives them.

    Returns:
        At most `MAX_WORDS` words, in the order of the prompt; empty where it describes nothing.
    """
    prompt = _SYNTAX.sub(" ", _WEIGHT.sub(" ", positive_prompt(text)))
    names = _any_of(frozenset(avoid))
    said: dict[str, str] = {}
    for part in _PARTING.split(prompt):
        kept = _without(names, part)
        spoken = SPOKEN.get(kept.casefold(), kept)
        if spoken and not _is_quality(spoken):
            said.setdefault(spoken.casefold(), spoken)
    return _first_words(list(said.values()))


def ordinary_words(texts: Iterable[tuple[str, Collection[int]]]) -> frozenset[str]:
    """The words that are used with at least `ORDINARY` models.

    Args:
        texts: Texts, each with the ids of the models that drew it.
    """
    models: dict[str, set[int]] = defaultdict(set)
    for text, ids in texts:
        for word in set(words(text)):
            if len(models[word]) < ORDINARY:
                models[word].update(ids)
    return frozenset(word for word, ids in models.items() if len(ids) >= ORDINARY)


def names_in(text: str, specs: Iterable[ToolSpec], ordinary: frozenset[str]) -> frozenset[str]:
    """What would give the models of a text away, in lower case.

    These are the models' names, file stems and trigger words, and words of the text that somebody made up, which are
    triggers of models that nobody knows. What consists of ordinary words ("anime", "blue hair") describes pictures of
    any model, and is left out.
    """
    called = [name for spec in specs for name in (spec.model_name, *spec.trigger_words)]
    called += [file.stem for spec in specs for file in spec.files]
    called += [coined for whole in (text, *called) for coined in _COINED.findall(whole)]
    found = (words(name) for name in called)
    return frozenset(" ".join(name) for name in found if not ordinary.issuperset(name))


def names_told(text: str, avoid: Collection[str]) -> list[str]:
    """Those of the names that a text holds, as it spells them."""
    names = _any_of(frozenset(avoid))
    return [] if names is None else names.findall(text)


@lru_cache(maxsize=64)
def _any_of(names: frozenset[str]) -> re.Pattern[str] | None:
    """Finds any of some names as whole words, however they are joined; the longest first."""
    ordered = sorted((name for name in names if name), key=lambda name: (-len(name), name))
    spelled = ("[\\W_]{1,3}".join(map(re.escape, name.split())) for name in ordered)
    return re.compile(rf"(?<![^\W_])(?:{'|'.join(spelled)})(?![^\W_])", re.IGNORECASE) if ordered else None


def _without(names: re.Pattern[str] | None, part: str) -> str:
    """A part on one line without the names, and without the joints that they leave behind."""
    rest, count = (part, 0) if names is None else names.subn(" ", part)
    found = [word for word in rest.replace("_", " ").split() if len(word) <= LONGEST]
    joints = _LIGHT if count else frozenset()
    while found and (found[-1].casefold() in joints or not words(found[-1])):
        found = found[:-1]
    while found and (found[0].casefold() in _NEVER_FIRST or not words(found[0])):
        found = found[1:]
    return " ".join(found)


def _is_quality(part: str) -> bool:
    found = set(words(part))
    return found <= QUALITY | _LIGHT or _SCORE.fullmatch(part) is not None


def _first_words(parts: list[str]) -> str:
    """As many whole parts as there is room for; of a first part that is too long, its first words."""
    kept, room = [], MAX_WORDS
    for part in parts:
        length = len(part.split())
        if length > room:
            break
        kept.append(part)
        room -= length
    return ", ".join(kept) or " ".join(" ".join(parts[:1]).split()[:MAX_WORDS])
