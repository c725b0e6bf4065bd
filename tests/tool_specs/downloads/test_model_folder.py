from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.tool_specs.downloads.conftest import CONTENT, StoredSpec
from tests.tool_specs.importing.conftest import write_lora
from tool_specs.downloads import ModelFolder
from tool_specs.exceptions import ConfigError
from tool_specs.store.rows import LocalFile


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A ComfyUI tree with some files in it, of which nothing may be changed."""
    root = tmp_path / "ComfyUI" / "models"
    write_lora(root / "loras" / "other.safetensors")
    write_lora(root / "loras" / "sub" / "more.safetensors", fill=1)
    (root / "checkpoints").mkdir()
    (root / "checkpoints" / "old.ckpt").write_bytes(b"\x80")
    return root


class Hashing:
    """Counts the files that are hashed."""

    def __init__(self) -> None:
        self.files = 0

    def __call__(self, what: str, done: int, end: int) -> None:
        self.files += what == "hashing" and done == end


def put(path: Path, content: bytes = CONTENT) -> Path:
    path.write_bytes(content)
    return path


def test_files_are_found_by_their_hash_whatever_they_are_called(tree: Path, stored_spec: StoredSpec) -> None:
    spec, hashing = stored_spec(), Hashing()
    folder = ModelFolder(tree, on_step=hashing)
    assert folder.find(spec) is None
    assert hashing.files == 0
    before = sorted(tree.rglob("*"))
    ours = put(tree / "loras" / "sub" / "renamed.safetensors")
    assert folder.find(spec) == folder.find(spec) == ours
    assert hashing.files == 1
    assert sorted(tree.rglob("*")) == sorted([*before, ours])


def test_another_file_of_the_same_name_is_not_taken(tree: Path, stored_spec: StoredSpec) -> None:
    spec = stored_spec()
    put(tree / "loras" / "INK.safetensors", CONTENT[:-1] + b"\0")
    folder = ModelFolder(tree)
    assert folder.find(spec) is None
    ours = put(tree / "checkpoints" / "ink.safetensors")
    assert folder.find(spec) == ours
    # Nor is one that takes the place of what was found.
    put(ours, CONTENT[:-1] + b"\0")
    os.utime(ours, ns=(1, 1))
    assert folder.find(spec) is None
    ours.unlink()
    assert folder.find(spec) is None


def test_without_a_hash_name_and_size_must_do(tree: Path, stored_spec: StoredSpec) -> None:
    spec = stored_spec(sha256=None)
    folder = ModelFolder(tree)
    put(tree / "loras" / "renamed.safetensors")
    put(tree / "loras" / "ink.safetensors", CONTENT * 2)
    assert folder.find(spec) is None
    assert folder.find(stored_spec(sha256=None, size_kb=0)) == tree / "loras" / "ink.safetensors"
    ours = put(tree / "loras" / "Ink.safetensors")
    assert folder.find(spec) == ours


def test_known_hashes_are_believed_while_the_file_is_the_same(tree: Path, stored_spec: StoredSpec) -> None:
    spec, hashing = stored_spec(), Hashing()
    ours = put(tree / "loras" / "ink.safetensors")
    status = ours.stat()
    sha256 = spec.files[0].sha256 or ""
    for mtime, hashed in ((status.st_mtime_ns, 0), (status.st_mtime_ns - 1, 1)):
        known = [LocalFile(str(ours), status.st_size, mtime, sha256, spec.id)]
        assert ModelFolder(tree, known=known, on_step=hashing).find(spec) == ours
        assert hashing.files == hashed


def test_nothing_to_look_for_and_nowhere_to_look(tmp_path: Path, tree: Path, stored_spec: StoredSpec) -> None:
    spec = stored_spec()
    assert ModelFolder(tree).find(spec.model_copy(update={"files": ()})) is None
    with pytest.raises(ConfigError, match="no file or folder"):
        ModelFolder(tmp_path / "none").find(spec)
