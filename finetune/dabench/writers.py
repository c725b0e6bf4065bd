"""Who puts a description into the words of a person who asks for a picture."""

from __future__ import annotations

import random
import re
from collections.abc import Collection
from dataclasses import dataclass
from typing import Final, Protocol

from finetune.dabench.descriptions import plain_description
from tool_specs.prompts import clean_text

_MEDIUM: Final = re.compile(
    r"(?:an? |the )?(?:[\w-]+ ){0,3}?(?:art|artwork|close[- ]?up|drawing|illustration|image|painting|photo|photograph|"
    r"picture|portrait|poster|render|rendering|shot|sketch|still|view)\b",
    re.IGNORECASE,
)
_ARTICLE: Final = re.compile(r"(?:An?|The)\b")
_TAGS: Final = 3
"""Words of a part on average, below which a description is a list."""


class InstructionWriter(Protocol):
    """Writes what a person would say to get a picture."""

    @property
    def name(self) -> str:
        """What the pairs' `wording` calls it."""
        ...

    def write(self, text: str, rng: random.Random, *, avoid: Collection[str] = ()) -> str:
        """Write an instruction.

        Args:
            text: What the picture shows: a prompt or a plain description.
            rng: Where all chance comes from.
            avoid: Names and trigger words that must not be in it, in lower case.

        Returns:
            The instruction; empty where the text describes nothing.
        """
        ...


@dataclass(frozen=True, slots=True)
class Frame:
    """The words around a description.

    Attributes:
        before: What comes first.
        after: What comes last.
        noun: Whether it calls the result a picture, so that "a photo of …" does not fit into it.
    """

    before: str
    after: str
    noun: bool = False


FRAMES: Final = (
    Frame("Draw ", "."),
    Frame("Please draw ", "."),
    Frame("Can you draw ", "?"),
    Frame("Could you make ", " for me?"),
    Frame("Show me ", "."),
    Frame("I want to see ", "."),
    Frame("I need ", "."),
    Frame("I'd like to have ", "."),
    Frame("Make a picture of ", ".", noun=True),
    Frame("Please make an image of ", ".", noun=True),
    Frame("I'd like a picture of ", ".", noun=True),
    Frame("Can I get an image of ", "?", noun=True),
    Frame("I'm looking for a picture of ", ".", noun=True),
)
"""For descriptions in whole phrases."""
LIST_FRAMES: Final = (
    Frame("Draw this: ", "."),
    Frame("Please make this: ", "."),
    Frame("I'm thinking of ", "."),
    Frame("A picture with ", ", please.", noun=True),
    Frame("Make me an image with ", ".", noun=True),
    Frame("Can you make a picture with ", "?", noun=True),
    Frame("I want an image with ", ".", noun=True),
)
"""For lists of what is to be seen."""
BARE: Final = 0.2
"""Share of instructions that are the description alone, as many people write."""


class GivenWriter:
    """Leaves a text as it is, for sources whose texts are instructions already."""

    name = "given"

    def write(self, text: str, rng: random.Random, *, avoid: Collection[str] = ()) -> str:  # noqa: ARG002
        """The text; see `InstructionWriter`."""
        return clean_text(text)


class RuleWriter:
    """Puts the description into one of some frames, without any language model."""

    name = "rules"

    def write(self, text: str, rng: random.Random, *, avoid: Collection[str] = ()) -> str:
        """Write an instruction; see `InstructionWriter`."""
        said = plain_description(text, avoid)
        if not said or rng.random() < BARE:
            return said
        parts = said.split(", ")
        listed = len(parts) > 1 and len(said.split()) < _TAGS * len(parts)
        if listed and rng.random() < 0.5:
            said = f"{', '.join(parts[:-1])} and {parts[-1]}"
        is_medium = _MEDIUM.match(said) is not None
        frame = rng.choice([one for one in (LIST_FRAMES if listed else FRAMES) if not (one.noun and is_medium)])
        if _ARTICLE.match(said):
            said = said[0].lower() + said[1:]
        return f"{frame.before}{said.rstrip(' .!?')}{frame.after}"
