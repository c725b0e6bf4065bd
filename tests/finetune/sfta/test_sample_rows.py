from __future__ import annotations

from pathlib import Path

import pytest

from finetune.dabench.pairs import write_pairs
from finetune.pocket.planner.dataset import pocket_pairs
from finetune.pocket.planner.worlds import pocket_world
from finetune.sfta.sample_rows import SampleSettings, write_samples
from tool_specs.exceptions import ConfigError


def test_a_file_holds_rows_of_one_making(planner: Path, tmp_path: Path) -> None:
    write_pairs(tmp_path / "data", pocket_pairs(pocket_world(), {"train": 4, "dev": 3}), card="# Pairs")
    settings = SampleSettings(model=str(planner), data=tmp_path / "data", out=tmp_path / "rows.jsonl")
    count = write_samples(settings)
    assert count > 0
    assert write_samples(settings) == count
    for name, value in (("seed", 9), ("closed_book", True), ("split", "dev")):
        with pytest.raises(ConfigError, match=rf"was begun with another .*{name}"):
            write_samples(settings.model_copy(update={name: value}))
