from __future__ import annotations

from pathlib import Path

import pytest

from tool_specs.whole_files import write_whole, written_whole


def test_a_file_takes_the_place_of_another(tmp_path: Path) -> None:
    path = tmp_path / "notes.txt"
    write_whole(path, "old")
    write_whole(path, "new")
    assert path.read_text() == "new"
    assert [entry.name for entry in tmp_path.iterdir()] == ["notes.txt"]


def test_what_was_not_written_to_its_end_leaves_nothing(tmp_path: Path) -> None:
    path = tmp_path / "notes.txt"
    write_whole(path, "old")
    with pytest.raises(ZeroDivisionError), written_whole(path) as partial:  # noqa: PT012
        partial.write_text("half")
        raise ZeroDivisionError
    assert path.read_text() == "old"
    assert [entry.name for entry in tmp_path.iterdir()] == ["notes.txt"]
