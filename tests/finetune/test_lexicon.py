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


def test_a_folder_without_wordnet_is_said(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"has no nouns of WordNet .*; name the folder"):
        compact(tmp_path)
