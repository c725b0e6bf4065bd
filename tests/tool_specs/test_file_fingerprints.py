from __future__ import annotations

from pathlib import Path

import pytest

from tool_specs.file_fingerprints import fingerprint_of


@pytest.mark.parametrize("size", [1, 5000, 1_000_000])
def test_another_size_name_or_end_is_another_file(tmp_path: Path, size: int) -> None:
    file, same, longer, ending = (tmp_path / name / "model.safetensors" for name in "abcd")
    contents = {file: b"\1" * size, same: b"\1" * size, longer: b"\1" * (size + 1), ending: b"\1" * (size - 1) + b"\2"}
    for path, content in contents.items():
        path.parent.mkdir()
        path.write_bytes(content)
    renamed = tmp_path / "other.safetensors"
    renamed.write_bytes(contents[file])
    assert fingerprint_of([file]) == fingerprint_of([same])
    others = [fingerprint_of(paths) for paths in ([file], [longer], [ending], [renamed], [file, same], [])]
    assert len(set(others)) == len(others)


def test_a_file_that_is_not_there_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        fingerprint_of([tmp_path / "none"])
