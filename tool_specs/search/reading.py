"""How a request is cut into phrases: what it is a picture of, and what is said about it.

This is no parser. It splits at commas, prepositions and verbs, and keeps for each phrase the word that led to it, which
is enough to tell the thing asked for ("a *castle*") from where it is ("*in* the snow"), how it is drawn ("*in* ink"),
and what only belongs to it ("a map *of* an island" is no island).
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Literal

MAX_REQUEST = 2000
"""Characters of a request that are read."""
MAX_PHRASES = 24
MAX_WORDS = 3
"""Longest run of words that is compared with the words a model knows."""
_MAX_OPENING = 6
"""Words that may stand before what is asked for."""
_VOWELS = frozenset("aeiouy")

_WORD = re.compile(r"[^\W_]+(?:['’-][^\W_]+)*|[,;:.!?()\n]")
_SPELLINGS = (("colour", "color"), ("grey", "gray"), ("’", "'"))


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


_DETERMINERS = _words(
    "a an the some any my your his her its our their this that these those one two three four five several many half"
)
_PREPOSITIONS = _words(
    "in on at under over of by with without near beside behind before against from for during as like inside into onto "
    "through around between above below beneath among amid across via"
)
_CLAUSES = _words("who which that's while where when because")
_FILLERS = _words("please thanks thank you very really just also it is look looks hi hello hey")
_NEGATIONS = _words("no not without never")
_WISHERS = _words("i i'd we we'd would")
_FRAMES = _words(
    "picture pictures image images photo photos photograph drawing illustration painting portrait render rendering art "
    "artwork scene icon emoji clipart sticker logo wallpaper poster shot view close-up something "
    "cup mug glass bottle bowl plate slice piece bunch basket pair stack pile ear loaf group herd flock kind lot lots "
    "couple dozen bucket tub jar can pot tray head clove sprig stalk stick scoop"
)
"""Nouns whose "of" leads to what is to be drawn."""
_ASKS = _words("make draw paint create generate render show give get want need see turn do")
_OPENINGS = _ASKS | _WISHERS | _words("could can should have let's me us sketch design illustrate imagine try")
"""Words that lead to what is asked for where they stand in front of everything."""
_SEEKS = _words("looking searching asking wishing")
"""What "for" follows where it leads to what is asked for."""
_ING_NOUNS = _words(
    "building ceiling clothing duckling dumpling dwelling earring evening fledgling gosling hatchling herring icing "
    "king lightning morning painting piling pudding railing sapling seedling starling stocking viking wedding yearling"
)
"""Nouns that end like a verb form."""
_BACKDROPS = _words("background backdrop")
_SHADES = _words("light dark pale bright deep soft pastel hot")
"""Words that belong to the colour behind them."""
_PAIRS = frozenset({("of", "made"), ("of", "built"), ("from", "made"), ("out", "made")})
_STYLE_NOUNS = _words("style styles manner aesthetic look effect filter")

Role = Literal["thing", "detail", "style", "other"]


@dataclass(frozen=True, slots=True)
class Phrase:
    """Some words of a request and the word that led to them.

    Attributes:
        cue: The preposition, "," or "verb"; empty at the start.
        words: Lower-case words without leading determiners.
        role: "thing": may be what is asked for. "style": said to be a style. "detail": belongs to another thing.
            "other": a place, a style or a detail, as the words say.
    """

    cue: str
    words: tuple[str, ...]
    role: Role

    @property
    def text(self) -> str:
        """The words in a row."""
        return " ".join(self.words)

    @property
    def is_frame(self) -> bool:
        """Whether it only asks for a picture, or says a cup, a slice … of something."""
        return set(self.words) <= _FRAMES | _ASKS

    @property
    def heads(self) -> tuple[str, ...]:
        """Runs of words that may name the thing, longest first: they end where the phrase or its verb form ends."""
        ends = [len(self.words)]
        ends += [n for n, word in enumerate(self.words) if n and _is_verb_form(word, "ing", "ed")]
        runs = {" ".join(self.words[max(0, end - size) : end]) for end in ends for size in range(1, MAX_WORDS + 1)}
        return tuple(sorted(runs, key=lambda run: (-len(run), run)))

    @property
    def modifiers(self) -> tuple[str, ...]:
        """Runs of words before the last one, but for those that only say that it is a picture."""
        return tuple(run for run in _runs(self.words[:-1]) if not set(run.split()) <= _FRAMES)

    @property
    def endings(self) -> tuple[str, ...]:
        """Runs of words at the end that leave something in front, but for those that only say that it is a picture."""
        runs = (" ".join(self.words[-size:]) for size in range(1, min(MAX_WORDS, len(self.words) - 1) + 1))
        return tuple(run for run in runs if not set(run.split()) <= _FRAMES)

    def without_ending(self, run: str) -> Phrase:
        """The phrase without a run of words at its end."""
        return replace(self, words=self.words[: -len(run.split())])

    @property
    def is_backdrop(self) -> bool:
        """Whether it says itself that it is a background."""
        return self.words[-1] in _BACKDROPS

    @property
    def backdrops(self) -> tuple[str, ...]:
        """Those endings that say themselves which background they are ("toad *white background*"), longest first."""
        runs = (run for run in reversed(self.endings) if run.split()[-1] in _BACKDROPS and " " in run)
        return tuple(run for run in runs if self.without_ending(run).words[-1] not in _SHADES)

    @property
    def runs(self) -> tuple[str, ...]:
        """All runs of words."""
        return _runs(self.words)


def read_phrases(request: str) -> tuple[Phrase, ...]:
    """Cut a request into phrases, at most `MAX_PHRASES`."""
    phrases: list[Phrase] = []
    for cue, words in _cut(_sought(_tokens(request))):
        if cue == "of" and not words and phrases and phrases[-1].words[-1] in _FRAMES:
            phrases[-1] = replace(phrases[-1], role="other")  # "a picture of, in ink, a cat"
        if words:
            role = _role(cue, words, phrases)
            if cue == "of" and role == "thing":
                phrases[-1] = replace(phrases[-1], role="other")
            phrases.append(Phrase(cue, words, role))
    return tuple(_with_styles(phrases[:MAX_PHRASES]))


def normal(text: str) -> str:
    """The text as it is compared: lower case, one spelling, single blanks."""
    return " ".join(token for token in _tokens(text) if token[0].isalnum())


def singular(phrase: str) -> str:
    """The phrase with its last word in the singular, by the regular rules alone."""
    for ending, replacement in (("ies", "y"), ("ches", "ch"), ("shes", "sh"), ("xes", "x"), ("sses", "ss"), ("s", "")):
        if phrase.endswith(ending) and not phrase.endswith(("ss", "us", "is")) and len(phrase) >= len(ending) + 2:
            return phrase.removesuffix(ending) + replacement
    return phrase


def _tokens(text: str) -> list[str]:
    lowered = text[:MAX_REQUEST].casefold()
    for spelling, ours in _SPELLINGS:
        lowered = lowered.replace(spelling, ours)
    return _WORD.findall(lowered)


def _sought(tokens: list[str]) -> list[str]:
    """What follows "I am looking for"."""
    for n, (word, following) in enumerate(pairwise(tokens[:_MAX_OPENING])):
        if word in _SEEKS and following == "for":
            return tokens[n + 2 :]
    return tokens


def _cut(tokens: list[str]) -> list[tuple[str, tuple[str, ...]]]:
    """Split at punctuation, prepositions, clause words and verb forms that take an object."""
    parts: list[tuple[str, list[str]]] = [("", [])]
    for word, following in zip(tokens, [*tokens[1:], ""], strict=False):
        cue, words = parts[-1]
        if not word[0].isalnum():
            parts.append((",", []))
        elif word == "and":
            parts.append((cue or ",", []))
        elif word in _PREPOSITIONS and words and (word, words[-1]) in _PAIRS:
            words.pop()
            parts.append(("made of", []))
        elif word == "like" and words and words[-1] in _WISHERS:
            words.clear()
        elif word in _PREPOSITIONS:
            parts.append((word, []))
        elif word in _DETERMINERS and words and cue in _PREPOSITIONS:
            parts.append((",", [word]))  # "at sunset a cat"
        elif word in _CLAUSES or _takes_object(word, words, following):
            parts.append(("verb", []))
        elif words and words[-1] in _BACKDROPS:
            parts.append((",", [word]))  # "on a red background pixelated"
        elif len(words) > 1 and words[-1] == "style":
            parts.append((",", [word]))  # "a cat pixel art style red background"
        else:
            words.append(word)
    return [(cue, _bare(words, first=not n)) for n, (cue, words) in enumerate(parts)]


def _takes_object(word: str, before: list[str], following: str) -> bool:
    """Whether a word is a verb form such as "riding" in "a man riding a horse"."""
    leads_on = following in _DETERMINERS or (following in _PREPOSITIONS and following != "of")
    return leads_on and _is_verb_form(word, "ing") and bool(before) and before[-1] not in _DETERMINERS


def _is_verb_form(word: str, *endings: str) -> bool:
    """Whether a word ends like a verb form: with a vowel before the ending, which "ring" and "red" do not have."""
    if word in _ING_NOUNS:
        return False
    return any(word.endswith(ending) and not _VOWELS.isdisjoint(word.removesuffix(ending)) for ending in endings)


def _bare(words: list[str], *, first: bool) -> tuple[str, ...]:
    """What follows the last determiner, without filler words and, in the first phrase, without words that ask."""
    last = max((n for n, word in enumerate(words) if word in _DETERMINERS), default=-1)
    bare = [word for word in words[last + 1 :] if word not in _FILLERS]
    while first and len(bare) > 1 and bare[0] in _OPENINGS:
        bare.pop(0)
    return tuple(bare)


def _role(cue: str, words: tuple[str, ...], before: list[Phrase]) -> Role:
    if words[0] in _NEGATIONS or cue in _NEGATIONS:
        return "detail"
    if cue in ("", ","):
        return "thing"
    if cue == "of" and before:
        parent = before[-1]
        if parent.words[-1] in _STYLE_NOUNS:
            return "style"
        return parent.role if parent.words[-1] in _FRAMES else "detail"
    if cue in ("made of", "like", "as"):
        return "style"
    return "detail" if cue == "verb" else "other"


def _with_styles(phrases: list[Phrase]) -> list[Phrase]:
    """Phrases that end in "style" are styles, whatever led to them; the word itself says no more.

    The only thing that a request holds is none, even so: "a cat pixel art style".
    """
    out = []
    alone = sum(phrase.role == "thing" and not phrase.is_frame and not phrase.is_backdrop for phrase in phrases) == 1
    for phrase in phrases:
        if phrase.words[-1] in _STYLE_NOUNS:
            if len(phrase.words) > 1:
                role: Role = "thing" if alone and phrase.role == "thing" else "style"
                out.append(Phrase(phrase.cue, phrase.words[:-1], role))
        else:
            out.append(phrase)
    return out


def _runs(words: tuple[str, ...]) -> tuple[str, ...]:
    sizes = range(min(MAX_WORDS, len(words)), 0, -1)
    return tuple(dict.fromkeys(" ".join(words[n : n + size]) for size in sizes for n in range(len(words) - size + 1)))
