from __future__ import annotations

from pathlib import Path

import pytest

from finetune.lexicon import compact
from tool_specs.exceptions import ConfigError

DATA = """\
  1 This is the licence.
00001740 03 n 01 entity 0 001 ~ 00001930 n 0000 | that which is
00001930 03 n 01 physical_entity 0 002 @ 00001740 n 0000 ~ 00002684 n 0000 | that which can be touched
00002137 03 n 02 abstraction 0 idea 1 001 @ 00001740 n 0000 | that which cannot
00002684 05 n 02 Cat 0 true_cat 0 001 @ 00001930 n 0000 | a pet; "the | in a gloss ends nothing"
00002700 05 n 01 Felix 0 001 @i 00002684 n 0000 | one cat
00002800 06 n 01 cat 2 002 @ 00001930 n 0000 %p 00002684 n 0000 | a whip
"""
ANIMALS = """\
00003000 05 n 01 animal 0 001 @ 00001930 n 0000 | a living thing
00003100 05 n 01 horse 0 001 @ 00003000 n 0000 | a solid-hoofed animal that males ride
00003200 05 n 01 foal 0 001 @ 00003000 n 0000 | a young horse
00003300 05 n 01 mare 0 001 @ 00003100 n 0000 | adult female of a wild or domestic horse; "a mare"
00003400 06 n 01 horse 1 001 @ 00001930 n 0000 | a frame to saw on
00003500 06 n 01 doll 0 001 @ 00001930 n 0000 | a young horse of wood
00003600 05 n 01 robin 0 001 @ 00003000 n 0000 | a bird; the male horse is red
"""
INDEX = """\
  1 This is the licence.
cat n 2 2 @ ~ 2 1 00002684 00002800
entity n 1 1 ~ 1 1 00001740
felix n 1 1 @i 1 0 00002700
physical_entity n 1 1 @ 1 0 00001930
true_cat n 1 1 @ 1 0 00002684
"""


def test_things_are_kept_with_what_they_are_kinds_of_and_ideas_and_names_are_not(tmp_path: Path) -> None:
    (tmp_path / "data.noun").write_text(DATA)
    (tmp_path / "index.noun").write_text(INDEX)
    assert compact(tmp_path) == "|physical_entity#1\n0|cat#1 true_cat#1\n0|cat#2\n"


def test_the_young_and_the_sexes_of_an_animal_mean_it(tmp_path: Path) -> None:
    (tmp_path / "data.noun").write_text(DATA + ANIMALS)
    (tmp_path / "index.noun").write_text(
        INDEX
        + "".join(f"{word} n 1 1 @ 1 0 {offset}\n" for word, offset in (
            ("animal", "00003000"), ("foal", "00003200"), ("mare", "00003300"), ("doll", "00003500"),
            ("robin", "00003600"),
        ))
        + "horse n 2 1 @ 2 0 00003400 00003100\n"
    )  # fmt: skip
    lines = compact(tmp_path).splitlines()
    assert lines[3:] == ["0|animal#1", "3|horse#2", "3 =4|foal#1", "4 =4|mare#1", "0|horse#1", "0|doll#1", "3|robin#1"]


def test_a_folder_without_wordnet_is_said(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"has no nouns of WordNet .*; name the folder"):
        compact(tmp_path)
