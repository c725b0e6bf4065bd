"""How near two things are: the nouns of WordNet 3.0 (Miller, 1995) that name something to be seen.

Princeton's licence stands beside them, in `nouns.LICENSE`; `python -m finetune.lexicon` makes the file again.
"""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Mapping
from functools import cache, cached_property, lru_cache
from pathlib import Path
from typing import Literal

from tool_specs.exceptions import CatalogError
from tool_specs.search.reading import singular

NOUNS = Path(__file__).with_name("nouns.txt.gz")
SENSES = 2
"""Senses of a word that count, the most frequent first: the third of "horse" is a frame to saw wood on."""
KIND_STEPS = 2
"""Most steps up from a kind: a bulldozer is a tractor, but nobody who asks for a seahorse is content with a fish."""
NEAR_STEPS, FAR_STEPS = 2, 4
"""Steps up from both to what they have in common: at most so many between near things, more between far ones."""

Relation = Literal["same", "kind", "near", "far"]


class Lexicon:
    """Nouns, read when they are first asked for.

    Args:
        path: One line for each meaning: the numbers of the lines that it is a kind of, with an equals sign in front
            those of animals that it is the young, the males or the females of, a bar, and its words, each with the
            rank of this meaning among all of the word's.
    """

    def __init__(self, path: Path = NOUNS) -> None:
        self._path = path
        self._above = lru_cache(maxsize=4096)(self._find_above)

    def relation(self, words: str, known: str) -> Relation | None:
        """How what the words name stands to what others name.

        Args:
            words: A noun with what describes it in front ("old castle"); the longest noun at its end counts.
            known: Another.

        Returns:
            "same": they can mean the same; a foal is a horse. "kind": the words name a kind of it, few steps down.
            "near", "far": what both are kinds of is a few steps up, or many. None: in between, or far from each other
            in the usual senses alone ("chopper" is slang for a helicopter; a fox cub is no child), or one of the two
            is no noun that is here.
        """
        found = self._relation(self._above(words, SENSES), self._above(known, SENSES))
        return None if found == "far" and self._may_be(words, known) else found

    def _may_be(self, words: str, known: str) -> bool:
        """Whether a rare sense of the words is what is known, or they say of what they name a part or the young."""
        rare = self._relation(self._above(words, None), self._above(known, SENSES))
        return rare in ("same", "kind") or words.startswith(f"{known} ")

    @staticmethod
    def _relation(ours: Mapping[int, int], theirs: Mapping[int, int]) -> Relation | None:
        steps = [(ours[number], theirs[number]) for number in ours.keys() & theirs.keys()]
        if not steps:
            return None
        if (0, 0) in steps:
            return "same"
        up_to_known = min((up for up, down in steps if down == 0), default=None)
        if up_to_known is not None:
            return "kind" if up_to_known <= KIND_STEPS else None
        apart = min(up + down for up, down in steps)
        if apart <= NEAR_STEPS:
            return "near"
        return "far" if apart > FAR_STEPS else None

    def is_compound(self, words: str) -> bool:
        """Whether several words are one noun: a rowing boat is a thing of its own."""
        return " " in words and bool(self._forms(words))

    def _forms(self, words: str) -> list[str]:
        spelled = words.replace("-", " ")
        return [form for form in (spelled, singular(spelled)) if form in self._nouns[0]]

    def _find_above(self, words: str, senses: int | None) -> dict[int, int]:
        """What the words can mean in their first senses, and all that it is a kind of, with the steps up to it."""
        by_word, parents, animals = self._nouns
        parts = words.lower().split()
        endings = (" ".join(parts[start:]) for start in range(len(parts)))
        form = next((form for ending in endings for form in self._forms(ending)), None)
        newest = {number for rank, number in by_word.get(form or "", ()) if senses is None or rank <= senses}
        newest |= {animal for number in newest for animal in animals[number]}
        found: dict[int, int] = {}
        steps = 0
        while newest:
            found |= dict.fromkeys(newest, steps)
            newest = {parent for number in newest for parent in parents[number]} - found.keys()
            steps += 1
        return found

    @cached_property
    def _nouns(self) -> tuple[dict[str, list[tuple[int, int]]], list[tuple[int, ...]], list[tuple[int, ...]]]:
        """The meanings of each word with their ranks, what each meaning is a kind of, and of which animal.

        A compound is found with a hyphen, with a blank and in one word ("hot air balloon", "sweetcorn").
        """
        by_word: dict[str, list[tuple[int, int]]] = {}
        parents: list[tuple[int, ...]] = []
        animals: list[tuple[int, ...]] = []
        try:
            lines = gzip.decompress(self._path.read_bytes()).decode().splitlines()
            for number, line in enumerate(lines):
                above, _, words = line.partition("|")
                parents.append(tuple(int(one) for one in above.split() if not one.startswith("=")))
                animals.append(tuple(int(one[1:]) for one in above.split() if one.startswith("=")))
                for word in words.split(" "):
                    text, _, rank = word.rpartition("#")
                    by_word.setdefault(text.replace("_", " ").replace("-", " "), []).append((int(rank), number))
            if not parents:
                msg = "it is empty"
                raise ValueError(msg)
            for text in [text for text in by_word if " " in text]:
                by_word.setdefault(text.replace(" ", ""), by_word[text])
        except (OSError, EOFError, ValueError, zlib.error) as error:
            msg = f"the nouns in {self._path} cannot be read ({error}); reinstall the package"
            raise CatalogError(msg) from error
        return by_word, parents, animals


@cache
def shipped_lexicon() -> Lexicon:
    """The nouns that ship, read once in a process."""
    return Lexicon()
