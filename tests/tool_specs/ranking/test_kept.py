from __future__ import annotations

from pathlib import Path

import pytest

from tool_specs.ranking.documents import Prompt, prompt_segment
from tool_specs.ranking.encoder import Encoder
from tool_specs.ranking.kept import KeptIndex
from tool_specs.ranking.segments import Segment


@pytest.fixture
def segment(encoder: Encoder) -> Segment:
    return prompt_segment([Prompt(1, "a castle", (7,)), Prompt(2, "a ship", (8,))], encoder)


@pytest.fixture
def nothing(encoder: Encoder) -> Segment:
    return prompt_segment([], encoder)


def test_the_newest_state_that_is_not_newer(tmp_path: Path, segment: Segment, nothing: Segment) -> None:
    kept = KeptIndex(tmp_path / "index", "a")
    assert kept.load(100) is None
    kept.save(7, segment, nothing)
    assert kept.load(6) is None
    for version in (7, 100):
        found = kept.load(version)
        assert found is not None
        assert (found.version, found.prompts.ids.tolist(), len(found.models)) == (7, [1, 2], 0)
    kept.save(9, nothing, segment)
    found = kept.load(100)
    assert found is not None
    assert (found.version, len(found.prompts)) == (9, 0)
    assert [path.name for path in (tmp_path / "index").iterdir()] == ["9"]
    kept.save(9, segment, segment)
    found = kept.load(9)
    assert found is not None
    assert len(found.prompts) == 2


def test_a_state_in_use_stays_usable_when_it_is_forgotten(tmp_path: Path, segment: Segment, nothing: Segment) -> None:
    kept = KeptIndex(tmp_path / "index", "a")
    kept.save(1, segment, nothing)
    used = kept.load(1)
    assert used is not None
    KeptIndex(tmp_path / "index", "a").save(2, nothing, nothing)
    assert not (tmp_path / "index" / "1").exists()
    assert used.prompts.columns["vector"].tolist() == segment.columns["vector"].tolist()


def test_of_another_owner_or_format_nothing_is_read(tmp_path: Path, segment: Segment) -> None:
    KeptIndex(tmp_path, "a").save(3, segment, segment)
    assert KeptIndex(tmp_path, "b").load(3) is None
    label = tmp_path / "3" / "index.json"
    label.write_text(label.read_text().replace('"format": ', '"format": 9'))
    assert KeptIndex(tmp_path, "a").load(3) is None


@pytest.mark.parametrize("content", [b"", b"{", b"\xff\xfe", b"[1]", b"null"])
def test_a_damaged_label(tmp_path: Path, segment: Segment, content: bytes) -> None:
    kept = KeptIndex(tmp_path, "a")
    kept.save(3, segment, segment)
    (tmp_path / "3" / "index.json").write_bytes(content)
    assert kept.load(3) is None


def test_a_damaged_part(tmp_path: Path, segment: Segment) -> None:
    kept = KeptIndex(tmp_path, "a")
    for part in ("prompts", "models"):
        for name in ("column-vector.npy", "field-grams-terms.npy", "link_values.npy", "arrays.json"):
            kept.save(3, segment, segment)
            path = tmp_path / "3" / part / name
            whole = path.read_bytes()
            for damaged in (whole[:-1], b"", b"null", b"[1]"):
                path.write_bytes(damaged)
                assert kept.load(3) is None, (name, damaged[:5])
            path.unlink()
            assert kept.load(3) is None, name


def test_what_cannot_be_written_is_done_without(tmp_path: Path, segment: Segment) -> None:
    (tmp_path / "index").write_text("a file where the folder should be")
    kept = KeptIndex(tmp_path / "index", "a")
    kept.save(3, segment, segment)
    assert kept.load(3) is None
    assert [path.name for path in tmp_path.iterdir()] == ["index"]


def test_other_things_in_the_folder_are_let_be(tmp_path: Path, segment: Segment) -> None:
    (tmp_path / "notes.txt").write_text("mine")
    (tmp_path / "5").write_text("a file with a number for a name")
    kept = KeptIndex(tmp_path, "a")
    kept.save(3, segment, segment)
    found = kept.load(9)
    assert found is not None
    assert found.version == 3
    assert (tmp_path / "notes.txt").read_text() == "mine"
