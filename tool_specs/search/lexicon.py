"""How near two things are: the nouns of WordNet 3.0 (Miller, 1995) that name something to be seen.

Princeton's licence stands beside them, in `nouns.LICENSE`; `python -m finetune.lexicon` makes the file again.
"""

from __future__ import annotations

import gzip
import zlib
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
        path: One line for each meaning: the numbers of the lines that it is a kind of, a bar, and its words, each with
            the rank of this meaning among all of the word's.
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
            "same": they can mean the same. "kind": the words name a kind of it, few steps down. "near", "far": what
            both are kinds of is a few steps up, or many. None: in between, or one of the two is no noun that is here.
        """
        ours, theirs = self._above(words), self._above(known)
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
        return [form for form in (words, singular(words)) if form in self._nouns[0]]

    def _find_above(self, words: str) -> dict[int, int]:
        """What the words can mean, and all that it is a kind of, with the steps up to it."""
        by_word, parents = self._nouns
        parts = words.lower().split()
        endings = (" ".join(parts[start:]) for start in range(len(parts)))
        form = next((form for ending in endings for form in self._forms(ending)), None)
        newest = {number for rank, number in by_word.get(form or "", ()) if rank <= SENSES}
        found: dict[int, int] = {}
        steps = 0
        while newest:
            found |= dict.fromkeys(newest, steps)
            newest = {parent for number in newest for parent in parents[number]} - found.keys()
            steps += 1
        return found

    @cached_property
    def _nouns(self) -> tuple[dict[str, list[tuple[int, int]]], list[tuple[int, ...]]]:
        """The meanings of each word with their ranks, and what each meaning is a kind of."""
        by_word: dict[str, list[tuple[int, int]]] = {}
        parents: list[tuple[int, ...]] = []
        try:
            lines = gzip.decompress(self._path.read_bytes()).decode().splitlines()
            for number, line in enumerate(lines):
                above, _, words = line.partition("|")
                parents.append(tuple(map(int, above.split())))
                for word in words.split(" "):
                    text, _, rank = word.rpartition("#")
                    by_word.setdefault(text.replace("_", " "), []).append((int(rank), number))
            if not parents:
                msg = "it is empty"
                raise ValueError(msg)
        except (OSError, EOFError, ValueError, zlib.error) as error:
            msg = f"the nouns in {self._path} cannot be read ({error}); reinstall the package"
            raise CatalogError(msg) from error
        return by_word, parents


@cache
def shipped_lexicon() -> Lexicon:
    """The nouns that ship, read once in a process."""
    return Lexicon()
