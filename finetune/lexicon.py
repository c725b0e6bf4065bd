"""The nouns of the search, from the files of WordNet: `python -m finetune.lexicon /usr/share/wordnet`.

Debian has those files as `wordnet-base`. Kept are all things that could be seen, without names of single ones.
"""

from __future__ import annotations

import argparse
import gzip
import re
from collections.abc import Container, Mapping
from pathlib import Path

from tool_specs.exceptions import ConfigError
from tool_specs.search.lexicon import NOUNS
from tool_specs.whole_files import written_whole

ROOT, ANIMAL = "physical_entity", "animal"
_KIND_OF, _INSTANCE_OF = "@", "@i"
_AGE_OR_SEX = re.compile(
    r"(?:an? |the )?(?=[^;(]*\b(?:young|immature|larval|adult|mature|male|female)\b)"
    r"(?:(?:young|immature|larval|adult|mature|male|female|uncastrated|castrated) )+"
    r"(?:of )?(?:an? )?(?:(?:wild|domestic|or) )*(\w+)"
)
"""How WordNet tells of which animal something is the young or the male: "an adult female hog", "young of cattle"."""


def main() -> None:
    """Write the file that `tool_specs.search.lexicon` reads."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("wordnet", type=Path, help="folder with data.noun and index.noun of WordNet 3")
    parser.add_argument("--out", type=Path, default=NOUNS)
    options = parser.parse_args()
    with written_whole(options.out) as partial:
        # Without a time of day the same nouns give the same file.
        partial.write_bytes(gzip.compress(compact(options.wordnet).encode(), 9, mtime=0))


def compact(folder: Path) -> str:
    """One line for each synset, parents before the bar as line numbers, words with the rank of the sense after it.

    An equals sign stands before the number of the animal that the young or the males of it are another word for.

    Raises:
        ConfigError: The folder has no WordNet.
    """
    try:
        synsets = (folder / "data.noun").read_text(encoding="utf-8").splitlines()
        senses = (folder / "index.noun").read_text(encoding="utf-8").splitlines()
    except OSError as error:
        msg = f"{folder} has no nouns of WordNet ({error}); name the folder of data.noun and index.noun"
        raise ConfigError(msg) from error
    words: dict[str, list[str]] = {}
    told: dict[str, str] = {}
    parents: dict[str, list[str]] = {}
    for line in synsets:
        if line.startswith(" "):
            continue  # the licence
        data, _, gloss = line.partition(" | ")
        fields = data.split(" ")
        count = int(fields[3], 16)
        pointers = fields[5 + 2 * count :]
        kinds = [pointers[place + 1] for place in range(0, len(pointers) - 3, 4) if pointers[place] == _KIND_OF]
        if _INSTANCE_OF not in pointers:
            words[fields[0]] = [word.lower() for word in fields[4 : 4 + 2 * count : 2]]
            parents[fields[0]] = kinds
            told[fields[0]] = gloss
    ranks: dict[tuple[str, str], int] = {}
    for line in senses:
        if not line.startswith(" "):
            fields = line.split()
            offsets = fields[-int(fields[2]) :]
            ranks |= {(fields[0], offset): rank for rank, offset in enumerate(offsets, 1)}
    kept = _descendants(next(offset for offset, said in words.items() if said == [ROOT]), parents)
    animal = next((offset for offset in words if ranks.get((ANIMAL, offset)) == 1), None)
    animals = _descendants(animal, parents) if animal else set()
    meant = {offset: _animals_of(told[offset], ranks, animals) for offset in animals}
    number = {offset: str(place) for place, offset in enumerate(sorted(kept))}
    lines = []
    for offset in number:
        above = [number[parent] for parent in parents[offset] if parent in number]
        above += [f"={number[animal]}" for animal in meant.get(offset, ()) if animal in number]
        said = dict.fromkeys(words[offset])
        lines.append(f"{' '.join(above)}|{' '.join(f'{word}#{ranks[word, offset]}' for word in said)}\n")
    return "".join(lines)


def _animals_of(gloss: str, ranks: Mapping[tuple[str, str], int], animals: Container[str]) -> list[str]:
    """The animals that a gloss says something to be the young, the males or the females of."""
    found = _AGE_OR_SEX.match(gloss)
    return [offset for word, offset in ranks if word == found[1] and offset in animals] if found else []


def _descendants(root: str, parents: dict[str, list[str]]) -> set[str]:
    children: dict[str, list[str]] = {}
    for offset, above in parents.items():
        for parent in above:
            children.setdefault(parent, []).append(offset)
    found, waiting = {root}, [root]
    while waiting:
        new = [child for child in children.get(waiting.pop(), ()) if child not in found]
        found.update(new)
        waiting += new
    return found


if __name__ == "__main__":
    main()
