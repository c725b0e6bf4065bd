"""What the pocket world can draw: subjects in four domains, backgrounds, styles, and the captions made of them."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Literal

Domain = Literal["animals", "food", "travel", "objects"]

# fmt: off
SUBJECTS: dict[Domain, dict[str, str]] = {
    "animals": {
        "cat": "🐱", "dog": "🐶", "fox": "🦊", "wolf": "🐺", "lion": "🦁", "tiger": "🐯", "horse": "🐴", "cow": "🐮",
        "pig": "🐷", "mouse": "🐭", "rabbit": "🐰", "bear": "🐻", "panda": "🐼", "koala": "🐨", "frog": "🐸",
        "monkey": "🐵", "chicken": "🐔", "penguin": "🐧", "owl": "🦉", "duck": "🦆", "turtle": "🐢", "snake": "🐍",
        "whale": "🐳", "fish": "🐠", "octopus": "🐙", "crab": "🦀", "snail": "🐌", "butterfly": "🦋", "bee": "🐝",
        "elephant": "🐘", "shark": "🦈", "parrot": "🦜",
    },
    "food": {
        "apple": "🍎", "pear": "🍐", "lemon": "🍋", "banana": "🍌", "watermelon": "🍉", "grapes": "🍇",
        "strawberry": "🍓", "cherry": "🍒", "peach": "🍑", "pineapple": "🍍", "coconut": "🥥", "kiwi": "🥝",
        "eggplant": "🍆", "avocado": "🥑", "broccoli": "🥦", "carrot": "🥕", "corn": "🌽", "chili pepper": "🌶",
        "mushroom": "🍄", "bread": "🍞", "cheese": "🧀", "burger": "🍔", "pizza": "🍕", "hot dog": "🌭", "taco": "🌮",
        "fried egg": "🍳", "popcorn": "🍿", "ice cream": "🍦", "donut": "🍩", "cookie": "🍪", "cake": "🍰",
        "coffee": "☕",
    },
    "travel": {
        "car": "🚗", "taxi": "🚕", "bus": "🚌", "ambulance": "🚑", "fire truck": "🚒", "truck": "🚚", "tractor": "🚜",
        "bicycle": "🚲", "scooter": "🛵", "motorcycle": "🏍", "train": "🚆", "locomotive": "🚂", "helicopter": "🚁",
        "airplane": "✈", "rocket": "🚀", "ufo": "🛸", "sailboat": "⛵", "ship": "🚢", "castle": "🏰", "house": "🏠",
        "church": "⛪", "tent": "⛺", "volcano": "🌋", "mountain": "🏔", "island": "🏝", "tower": "🗼", "statue": "🗽",
        "fountain": "⛲", "factory": "🏭", "temple": "🏛",
    },
    "objects": {
        "umbrella": "☂", "key": "🔑", "light bulb": "💡", "guitar": "🎸", "violin": "🎻", "trumpet": "🎺", "drum": "🥁",
        "piano": "🎹", "camera": "📷", "television": "📺", "telephone": "☎", "alarm clock": "⏰", "watch": "⌚",
        "hourglass": "⌛", "book": "📕", "pencil": "✏", "scissors": "✂", "hammer": "🔨", "axe": "🪓", "bell": "🔔",
        "gift": "🎁", "balloon": "🎈", "crown": "👑", "ring": "💍", "diamond": "💎", "top hat": "🎩", "glasses": "👓",
        "sneaker": "👟", "dress": "👗", "backpack": "🎒", "trophy": "🏆", "candle": "🕯",
    },
}
# fmt: on
"""Subject word to the emoji that shows it, by domain."""

COLOURS: dict[str, tuple[int, int, int]] = {
    "red": (206, 46, 48),
    "orange": (243, 140, 44),
    "yellow": (250, 212, 66),
    "green": (72, 168, 78),
    "blue": (44, 108, 220),
    "purple": (134, 62, 170),
    "pink": (250, 160, 200),
    "white": (248, 248, 248),
    "black": (18, 18, 20),
    "gray": (138, 138, 142),
}
"""Plain background colours, RGB 0–255."""

SCENES: dict[str, str] = {
    "sunset": "at sunset",
    "night sky": "under a night sky",
    "meadow": "in a meadow",
    "snow": "in the snow",
}
"""Backgrounds that are more than one colour, with the phrase a caption uses for them."""

BACKGROUNDS: tuple[str, ...] = (*COLOURS, *SCENES)

STYLES: tuple[str, ...] = ("pixel art", "line art", "watercolor", "neon", "blueprint", "sepia")
"""Styles made with image filters; each is one LoRA with the same trigger words."""

MINT: tuple[int, int, int] = (152, 226, 196)
"""The background colour no checkpoint has seen; the textual-inversion embedding teaches it."""

EMBEDDING_TOKEN = "mintcolor"  # noqa: S105 - a prompt token
HELD_OUT_PERCENT = 12


@dataclass(frozen=True, slots=True)
class Scene:
    """One thing to draw: a subject on a background, in a style or in none."""

    subject: str
    background: str
    style: str | None = None

    @property
    def caption(self) -> str:
        """The caption in its standard wording, without the style's trigger words."""
        return caption(self.subject, self.background)


def domain_of(subject: str) -> Domain:
    """Return the domain that a subject belongs to.

    Raises:
        KeyError: `subject` is in no domain.
    """
    for domain, subjects in SUBJECTS.items():
        if subject in subjects:
            return domain
    raise KeyError(subject)


def all_subjects() -> dict[str, str]:
    """Every subject with its emoji, over all domains."""
    return {word: emoji for subjects in SUBJECTS.values() for word, emoji in subjects.items()}


def article(word: str) -> str:
    """The noun with its indefinite article ("an owl", "a fox", "grapes")."""
    if word in ("grapes", "scissors", "glasses", "bread", "cheese", "corn", "popcorn", "coffee", "broccoli"):
        return word
    return f"an {word}" if word[0] in "aeio" or word == "umbrella" else f"a {word}"


def caption(subject: str, background: str, wording: int = 0) -> str:
    """A caption for a subject on a background.

    Args:
        subject: A subject word, or any noun.
        background: A key of `COLOURS` or `SCENES`.
        wording: Which of the four wordings; 0 is the standard one.
    """
    place = SCENES.get(background)
    if place is None:
        article_place, bare_place = f"on {article(background)} background", f"{background} background"
    else:
        article_place, bare_place = place, background
    noun = article(subject)
    return (
        f"{noun} {article_place}",
        f"{subject}, {bare_place}",
        f"a picture of {noun} {article_place}",
        f"{bare_place}, {noun}",
    )[wording % 4]


def held_out(subject: str, background: str) -> bool:
    """Whether a subject–background pair is kept out of all training (about `HELD_OUT_PERCENT` of them)."""
    digest = hashlib.sha256(f"{subject}|{background}".encode()).digest()
    return int.from_bytes(digest[:4], "big") % 100 < HELD_OUT_PERCENT


def vocabulary() -> list[str]:
    """Every word that captions are made of, for the tokenizer."""
    phrases = [*all_subjects(), *BACKGROUNDS, *SCENES.values(), *STYLES, "a an on background picture of style thing"]
    return sorted({word for phrase in phrases for word in phrase.split()})
