"""Requests as people write them: a wanted picture, or something that no pocket model draws, put into words."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np

from finetune.pocket.planner.words import (
    ADJECTIVES,
    COLOUR_PHRASES,
    COLOUR_WORDS,
    FRAMES,
    PLACES,
    STYLE_PHRASES,
    SYNONYMS,
    UNKNOWN,
)
from finetune.pocket.world import BACKGROUNDS, SCENES, STYLES, article, caption

T = TypeVar("T")
HELD_OUT_PHRASES = 25
"""Percent of the words and sentences that no training sees."""
HELD_OUT_STYLES = 15
"""Percent of the subject–style pairs that no training sees."""
STYLED, PLACED = 0.5, 0.6
"""Shares of the requests that name a style, and a background."""
OWN_WORD = 0.35
"""Share of the requests that use the model's own word for the subject."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """A picture that somebody wants.

    Attributes:
        subject: A subject of the world it is asked of.
        background: A key of `COLOURS` or `SCENES`; None where the request names none.
        style: Words that stand for a network; None for none.
    """

    subject: str
    background: str | None = None
    style: str | None = None

    @property
    def reference(self) -> str:
        """The caption that a picture of it is judged by."""
        return styled(self.plain, self.style)

    @property
    def plain(self) -> str:
        """The same without its style."""
        return caption(self.subject, self.background) if self.background else article(self.subject)


@dataclass(frozen=True, slots=True)
class Request:
    """A request in words.

    Attributes:
        text: The words.
        wanted: The picture; None for what cannot be drawn.
        noun: What the thing is called.
    """

    text: str
    wanted: Wanted | None
    noun: str


def styled(prompt: str, style: str | None) -> str:
    """A prompt with the words of a style in front."""
    return f"{style}, {prompt}" if style else prompt


def held_out_phrase(phrase: str) -> bool:
    """Whether training never sees this wording."""
    return _percent(phrase) < HELD_OUT_PHRASES


def seen_phrases(phrases: Iterable[str]) -> list[str]:
    """Those that training may see."""
    return [phrase for phrase in phrases if not held_out_phrase(phrase)]


def held_out_style(subject: str, style: str | None) -> bool:
    """Whether training never sees this subject in this style."""
    return style is not None and _percent(f"{subject} in {style}") < HELD_OUT_STYLES


def _percent(text: str) -> int:
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:4], "big") % 100


class RequestWriter:
    """Writes requests.

    Args:
        rng: Where chance comes from.
        unseen: Use the wordings that training never sees, wherever there is one; else only the others.
    """

    def __init__(self, rng: np.random.Generator, *, unseen: bool = False) -> None:
        self._rng = rng
        self._unseen = unseen

    def wanted(
        self, subjects: Sequence[str], styles: Sequence[str] = STYLES, *, keep: Callable[[str, str | None], bool]
    ) -> Wanted:
        """A picture of one of the subjects.

        Args:
            subjects: To choose from.
            styles: To choose from.
            keep: Which pairs of subject and style to keep.
        """
        while True:
            subject = str(self._rng.choice(subjects))
            style = str(self._rng.choice(styles)) if styles and self._rng.random() < STYLED else None
            background = str(self._rng.choice(BACKGROUNDS)) if self._rng.random() < PLACED else None
            if keep(subject, style):
                return Wanted(subject, background, style)

    def request(self, wanted: Wanted) -> Request:
        """A wanted picture in words."""
        own = wanted.subject not in SYNONYMS or self._rng.random() < OWN_WORD
        noun = wanted.subject if own else self._one(SYNONYMS[wanted.subject])
        return Request(self._sentence(noun, self._place(wanted.background), self._style(wanted.style)), wanted, noun)

    def impossible(self, nouns: Sequence[str] = UNKNOWN, styles: Sequence[str] = STYLES) -> Request:
        """A request for one of the nouns, worded like the others."""
        style = str(self._rng.choice(styles)) if styles and self._rng.random() < STYLED / 2 else None
        background = str(self._rng.choice(BACKGROUNDS)) if self._rng.random() < PLACED / 2 else None
        noun = self._one(nouns)
        return Request(self._sentence(noun, self._place(background), self._style(style)), None, noun)

    def _one(self, phrases: Sequence[T]) -> T:
        fitting = [phrase for phrase in phrases if held_out_phrase(str(phrase)) == self._unseen] or list(phrases)
        return fitting[int(self._rng.integers(len(fitting)))]

    def _sentence(self, noun: str, place: str, style: str) -> str:
        if self._rng.random() < 0.2:
            noun = f"{self._one(ADJECTIVES)} {noun}"
        if self._rng.random() < 0.75:
            noun = article(noun)
        parts = [noun, place, style]
        comma = self._rng.random() < 0.4
        if self._rng.random() < 0.25:
            parts = [noun, style, place]
        text = noun
        for part in parts[1:]:
            if part:
                text += f", {part}" if comma or part[0].isdigit() else f" {part}"
        if style and self._rng.random() < 0.1:
            text = f"{style}: {' '.join(part for part in (noun, place) if part)}"
        return self._one(FRAMES).format(text)

    def _place(self, background: str | None) -> str:
        if background is None:
            return ""
        if background in PLACES:
            return SCENES[background] if self._rng.random() < 0.3 else self._one(PLACES[background])
        colour = background if self._rng.random() < 0.6 else self._one(COLOUR_WORDS[background])
        return self._one(COLOUR_PHRASES).format(c=colour)

    def _style(self, style: str | None) -> str:
        if style is None:
            return ""
        if style in STYLE_PHRASES:
            return self._one(STYLE_PHRASES[style])
        return self._one(("in {} style", "in {}", "as {}", "{} style", "{}", "like {}")).format(style)
