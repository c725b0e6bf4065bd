from __future__ import annotations

import os
from pathlib import Path

import pytest

from tool_specs.exceptions import ConfigError
from tool_specs.importing.folders import contents_of


def put(path: Path, content: bytes = b"x") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


def test_a_library_as_a1111_keeps_it(tmp_path: Path) -> None:
    put(tmp_path / "Stable-diffusion" / "dream.safetensors")
    put(tmp_path / "Stable-diffusion" / "old.CKPT")
    put(tmp_path / "Lora" / "styles" / "ink.safetensors")
    put(tmp_path / "Lora" / "styles" / "ink.civitai.info", b' {"id": 1}')
    put(tmp_path / "Lora" / "styles" / "ink.preview.png", b"\x89PNG")
    put(tmp_path / "Stable-diffusion" / "dream.yaml", b"model:")
    put(tmp_path / ".git" / "pack.json", b"{}")
    put(tmp_path / "embeddings" / "neg.pt")
    contents = contents_of(tmp_path)

    assert [path.name for path in contents.weights] == ["ink.safetensors", "dream.safetensors"]
    assert [path.name for path in contents.documents] == ["ink.civitai.info"]
    assert contents.ignored == 2
    assert sorted(Path(one.where).name for one in contents.refused) == ["neg.pt", "old.CKPT"]
    assert all("pickle" in one.reason for one in contents.refused)


def test_links_are_followed_and_loops_end(tmp_path: Path) -> None:
    put(tmp_path / "elsewhere" / "big.safetensors")
    put(tmp_path / "models" / "a.safetensors")
    (tmp_path / "models" / "linked").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "models" / "again").symlink_to(tmp_path / "models")
    (tmp_path / "elsewhere" / "up").symlink_to(tmp_path)
    (tmp_path / "models" / "dangling.safetensors").symlink_to(tmp_path / "nowhere")
    contents = contents_of(tmp_path / "models")

    assert sorted(path.name for path in contents.weights) == ["a.safetensors", "big.safetensors"]
    assert [Path(one.where).name for one in contents.refused] == ["dangling.safetensors"]


def test_a_link_to_a_single_file_keeps_its_own_name(tmp_path: Path) -> None:
    put(tmp_path / "blobs" / "5b75b0f9")
    (tmp_path / "ink.safetensors").symlink_to(tmp_path / "blobs" / "5b75b0f9")
    assert [path.name for path in contents_of(tmp_path / "ink.safetensors").weights] == ["ink.safetensors"]


def test_odd_names_and_odd_things(tmp_path: Path) -> None:
    Path(os.fsdecode(os.fsencode(tmp_path) + b"/odd\xff.safetensors")).write_bytes(b"x")
    Path(os.fsdecode(os.fsencode(tmp_path) + b"/odd\xff.ckpt")).write_bytes(b"x")
    os.mkfifo(tmp_path / "pipe.json")
    put(tmp_path / "new\nline.json", b"{}")
    contents = contents_of(tmp_path)

    assert len(contents.weights) == 1
    assert len(contents.documents) == 1
    assert contents.ignored == 1
    assert contents.refused[0].where.endswith("odd\\xff.ckpt")


def test_a_diffusers_folder_is_one_thing(tmp_path: Path) -> None:
    put(tmp_path / "sd" / "model_index.json", b"{}")
    put(tmp_path / "sd" / "unet" / "diffusion_pytorch_model.safetensors")
    put(tmp_path / "a.safetensors")
    contents = contents_of(tmp_path)
    assert [path.name for path in contents.weights] == ["a.safetensors"]
    assert "diffusers" in contents.refused[0].reason


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_what_cannot_be_read_is_told(tmp_path: Path) -> None:
    put(tmp_path / "a.json", b"{}").chmod(0)
    (tmp_path / "locked").mkdir(0)
    contents = contents_of(tmp_path)
    (tmp_path / "locked").chmod(0o700)
    assert sorted(Path(one.where).name for one in contents.refused) == ["a.json", "locked"]
    assert contents.unreadable == [tmp_path / "locked"]


def test_what_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"there is no file or folder .*nowhere"):
        contents_of(tmp_path / "nowhere")
