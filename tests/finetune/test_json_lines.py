from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import BaseModel

from finetune.json_lines import JsonLines
from tool_specs.exceptions import ConfigError


class Row(BaseModel):
    n: int
    text: str = ""


def test_rows_are_read_as_they_were_written(tmp_path: Path) -> None:
    lines = JsonLines(tmp_path / "new" / "rows.jsonl", Row)
    assert lines.read() == []
    rows = [Row(n=1, text='"\n\u2028é'), Row(n=2)]
    for row in rows:
        lines.append(row)
    assert lines.read() == rows
    assert len((tmp_path / "new" / "rows.jsonl").read_bytes().splitlines()) == 2


@pytest.mark.parametrize("torn", ['{"n": 2, "te', '{"n": 2}'])
def test_a_torn_last_line_is_cut_off(tmp_path: Path, torn: str) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_text('{"n": 1}\n' + torn)
    lines = JsonLines(path, Row)
    assert lines.read() == [Row(n=1)]
    lines.append(Row(n=3))
    assert lines.read() == [Row(n=1), Row(n=3)]


def test_a_damaged_line_is_named(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_text('{"n": 1}\n{"n": "x"}\n{"n": 3}\n')
    with pytest.raises(ConfigError, match=r"line 2 of .*rows\.jsonl is no row: n='x' .*take it out"):
        JsonLines(path, Row).read()


def test_a_folder_that_cannot_be_used_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigError, match="cannot be written to"):
        JsonLines(tmp_path / "file" / "rows.jsonl", Row).append(Row(n=1))
    with pytest.raises(ConfigError, match="cannot be read"):
        JsonLines(tmp_path, Row).read()
