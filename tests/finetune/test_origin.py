from __future__ import annotations

from pathlib import Path

import pytest

from finetune.origin import check_same_origin
from tool_specs.exceptions import ConfigError


@pytest.mark.parametrize("name", ["rows.json", "rows"])
def test_the_note_is_never_the_file_of_rows(tmp_path: Path, name: str) -> None:
    check_same_origin(tmp_path / name, {"seed": 1})
    assert [path.name for path in tmp_path.iterdir()] == [f"{name}.json"]


def test_rows_of_another_making_are_not_added_to(tmp_path: Path) -> None:
    rows = tmp_path / "new" / "rows.jsonl"
    check_same_origin(rows, {"seed": 1, "data": "a"})
    check_same_origin(rows, {"seed": 1, "data": "a"})
    with pytest.raises(ConfigError, match=r"rows\.jsonl was begun with another data, split; choose another out"):
        check_same_origin(rows, {"seed": 1, "data": "b", "split": "dev"})
    rows.with_name("rows.jsonl.json").write_text("{", encoding="utf-8")
    with pytest.raises(ConfigError, match="cannot be used"):
        check_same_origin(rows, {"seed": 1})
