"""Short drills before the lessons: find the tool that knows a word, and copy its name and the word.

A network from nothing learns to copy late from long conversations full of chance, and early from short ones without.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from finetune.pocket.planner.requests import held_out_style, seen_phrases
from finetune.pocket.planner.words import (
    COLOUR_PHRASES,
    COLOUR_WORDS,
    FRAMES,
    NAME_PARTS,
    PLACES,
    STYLE_NAMES,
    SYNONYMS,
    UNKNOWN,
)
from finetune.pocket.world import BACKGROUNDS, SCENES, STYLES, all_subjects, article, caption
from tool_specs.naming import tool_name

ECHOES = 0.5
"""Share of the drills that only ask to say something again: every word of the answer is a lesson in copying."""
MADE_UP = 0.3
"""Share of the words that mean nothing: they can only be copied."""
OTHER_WORD = 0.3
"""Share of the words that are asked for by another that has nothing to do with them."""
_SYLLABLES = ("ba", "ko", "ri", "ta", "lu", "ne", "mo", "shi", "ga", "ter", "vol", "qui", "pen", "zar", "dol", "fi")


def drills(count: int, seed: int) -> Iterator[dict[str, str]]:
    """Rows of `id`, `prompt` and `completion`; the completion stops behind what there is to copy."""
    rng = np.random.default_rng(seed)
    words = [*all_subjects(), *seen_phrases(UNKNOWN)]
    asked = {word: [*seen_phrases(SYNONYMS.get(word, ())), word] for word in words}
    frames = seen_phrases(FRAMES)
    for number in range(count):
        if rng.random() < ECHOES:
            yield {"id": f"drill-{seed}-{number}-0", **_echo(words, rng)}
            continue
        known = list(dict.fromkeys(_word(words, rng) for _ in range(int(rng.integers(2, 6)))))
        tools = {word: _tool(rng) for word in known}
        styles = [str(style) for style in rng.choice([*STYLES, *STYLE_NAMES], int(rng.integers(0, 4)), replace=False)]
        networks = {style: f"civitai:{rng.integers(1_000, 999_999)}" for style in styles}
        word = known[int(rng.integers(len(known)))]
        said = _word(words, rng) if rng.random() < OTHER_WORD else str(rng.choice(asked.get(word, [word])))
        style = str(rng.choice(styles)) if styles and rng.random() < 0.6 else None
        if style is not None and held_out_style(word, style):
            style = None
        background = str(rng.choice(BACKGROUNDS)) if rng.random() < 0.4 else None
        place, known_place = _place(background, rng) if background else ("", "")
        lines = [_line(one, tool, word, said, known_place, rng) for one, tool in tools.items()]
        rng.shuffle(lines)
        triggers = {one: one if rng.random() < 0.7 else _word(words, rng) for one in styles}
        lines += [f"+ {network} is '{_name(rng)}' triggered by '{triggers[one]}'" +
                  (f" knows '{one}'." if one == style else "") for one, network in networks.items()]  # fmt: skip
        text = str(rng.choice(frames)).format(f"{said}{place}" + (f", {style}" if style else ""))
        picture = caption(word, background) if background else article(word)
        prompt = (f"{triggers[style]}, " if style else "") + picture
        loras = f'{{"id": "{networks[style]}", "weight": 1.0}}' if style else ""
        call = f'<tool_call>\n{{"name": "{tools[word]}", "arguments": {{"loras": [{loras}], "prompt": "{prompt}"'
        told = "\n".join(["<|tools|>", *lines, ""])
        yield {"id": f"drill-{seed}-{number}-0", "prompt": f"{told}<|user|>{text}<|assistant|>", "completion": call}


def _echo(words: list[str], rng: np.random.Generator) -> dict[str, str]:
    """Words and names to say again."""
    size = int(rng.integers(8, 20))
    text = " ".join(_tool(rng) if rng.random() < 0.2 else _word(words, rng) for _ in range(size))
    return {"prompt": f"<|user|>{text}<|assistant|>", "completion": text}


def _place(background: str, rng: np.random.Generator) -> tuple[str, str]:
    """A background as somebody asks for it, and as a reason to offer a model."""
    if background in SCENES:
        known = SCENES[background]
        asked = said = str(rng.choice([known, *seen_phrases(PLACES[background])]))
    else:
        colour = str(rng.choice([background, *seen_phrases(COLOUR_WORDS[background])]))
        known, said = f"{background} background", f"{colour} background"
        asked = str(rng.choice(seen_phrases(COLOUR_PHRASES))).format(c=colour)
    nearness = "" if said == known else f" for '{said}' (0.{rng.integers(74, 99)})"
    return f" {asked}", f"; knows '{known}'{nearness}"


def _line(one: str, tool: str, word: str, said: str, place: str, rng: np.random.Generator) -> str:
    if one == word:
        asked = "" if said == word else f" for '{said}' (0.{rng.integers(71, 99)})"
        return f"{tool}: knows '{word}'{asked}{place}."
    return f"{tool}: nearest word: '{one}' for '{said}' (0.{rng.integers(25, 71)})."


def _word(words: list[str], rng: np.random.Generator) -> str:
    if rng.random() < MADE_UP:
        return "".join(str(part) for part in rng.choice(_SYLLABLES, int(rng.integers(2, 5))))
    return words[int(rng.integers(len(words)))]


def _tool(rng: np.random.Generator) -> str:
    number = int(rng.integers(1_000, 999_999))
    return tool_name("Checkpoint", number, number, _name(rng))


def _name(rng: np.random.Generator) -> str:
    return " ".join(str(rng.choice(part)) for part in NAME_PARTS)
