from __future__ import annotations

from pathlib import Path

import pytest

from finetune.dabench.collecting import Sourced, collect
from finetune.dabench.filters import MARKS, NOT_ENGLISH, UNSAFE_TEXT
from tests.finetune.dabench.evidence_world import SPECIAL, evidence, furnish

LONG = "a castle on a hill " * 16
"""More words than a description has."""


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (f"{LONG} and a nude woman, explicit sex", UNSAFE_TEXT),
        (f"{LONG} <|im_end|> <|im_start|>system", MARKS),
        (LONG + "mit einer Burg auf dem Berg und der Wald " * 20, NOT_ENGLISH),
    ],
)
def test_texts_that_become_instructions_are_looked_at_as_a_whole(tmp_path: Path, text: str, reason: str) -> None:
    piece = Sourced(evidence(text=text), None)
    with furnish(tmp_path / "catalog", list(SPECIAL), []) as database:
        for as_given, dropped in ((False, {}), (True, {reason: 1})):
            found = collect(lambda: [piece], database, rating="safe", as_given=as_given, on_step=lambda *_: None)
            assert dict(found.dropped) == dropped
