from __future__ import annotations

import gzip
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tool_specs.exceptions import CatalogError
from tool_specs.search.lexicon import Lexicon, shipped_lexicon

SMALL = (
    "|thing#1\n0|animal#1\n1|cat#1 house_cat#1\n2|tomcat#1\n1|dog#1\n0|cat#3 rowing_boat#1\n1 =4|pup#1\n"
    "0|a#1\n7|b#1\n8|c#1\n9|tool#1\n10|cub#1\n2|cub#4\n2|long-hair_cat#1\n"
)


@pytest.fixture
def small(tmp_path: Path) -> Lexicon:
    path = tmp_path / "nouns.txt.gz"
    path.write_bytes(gzip.compress(SMALL.encode()))
    return Lexicon(path)


@pytest.mark.parametrize(
    ("words", "known", "relation"),
    [
        ("house cat", "cat", "same"),
        ("old tomcats", "cat", "kind"),
        ("cat", "tomcat", "near"),
        ("tomcat", "dog", None),
        ("rowing boat", "cat", None),
        ("unheard of", "cat", None),
        ("small pup", "dog", "same"),
        ("dog", "pup", "same"),
        ("pup", "cat", "near"),
        ("tool", "cat", "far"),
        ("housecat", "cat", "same"),
        ("long hair cat", "cat", "kind"),
        ("long-hair cat", "cat", "kind"),
        ("cub", "cat", None),
        ("cub", "dog", "far"),
        ("dog cub", "dog", None),
    ],
)
def test_relations(small: Lexicon, words: str, known: str, relation: str | None) -> None:
    assert small.relation(words, known) == relation


def test_a_rare_meaning_does_not_count(small: Lexicon) -> None:
    assert small.relation("cat", "rowing boat") is None


def test_what_is_one_noun(small: Lexicon) -> None:
    assert small.is_compound("rowing boat")
    assert small.is_compound("rowing boats")
    assert small.is_compound("long hair cat")
    assert not small.is_compound("cat")
    assert not small.is_compound("red cat")


@pytest.mark.parametrize(
    ("words", "known", "relation"),
    [
        ("aubergine", "eggplant", "same"),
        ("lorry", "truck", "kind"),
        ("tigress", "tiger", "same"),
        ("foal", "horse", "same"),
        ("bull", "cow", "same"),
        ("panther", "tiger", "near"),
        ("chopper", "helicopter", None),
        ("fox cub", "fox", None),
        ("sweetcorn", "corn", "kind"),
        ("dog", "dogs", "same"),
        ("goldfish", "fish", None),
        ("seahorse", "horse", "far"),
        ("fireman", "fire truck", "far"),
        ("the colour of music", "cat", None),
    ],
)
def test_what_ships(words: str, known: str, relation: str | None) -> None:
    assert shipped_lexicon().relation(words, known) == relation


@given(st.text(max_size=60), st.sampled_from(["cat", "fire truck", ""]))
def test_any_text_is_answered(words: str, known: str) -> None:
    assert shipped_lexicon().relation(words, known) in ("same", "kind", "near", "far", None)
    assert shipped_lexicon().relation(words, known) == shipped_lexicon().relation(words.upper().lower(), known)


DAMAGED = {
    "missing": None,
    "empty": b"",
    "no gzip": b"no gzip",
    "no rank": gzip.compress(b"|cat"),
    "damaged inside": gzip.compress(SMALL.encode())[:12] + b"?" * 40,
    "cut off": gzip.compress(SMALL.encode())[:-9],
}


@pytest.mark.parametrize("how", DAMAGED)
def test_a_damaged_file_is_said(tmp_path: Path, how: str) -> None:
    path, content = tmp_path / "nouns.txt.gz", DAMAGED[how]
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(CatalogError, match=r"nouns\.txt\.gz cannot be read .*; reinstall"):
        Lexicon(path).relation("cat", "dog")
