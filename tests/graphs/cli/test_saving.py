from __future__ import annotations

import os
import resource
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from PIL import Image

from diffagent_tools.artifacts import ArtifactStore, ImageReference
from graphs.cli.saving import picture_name, save_picture, slug
from graphs.folders import check_writable
from graphs.state import Attempt
from tool_specs.calls import PocketCall
from tool_specs.exceptions import ArtifactError, ConfigError


@pytest.fixture
def reference(tmp_path: Path) -> ImageReference:
    store = ArtifactStore(tmp_path / "artifacts")
    call = PocketCall(checkpoint="civitai:1@1", prompt="a fox", seed=1)
    noise = Image.effect_noise((128, 128), 90).convert("RGB")
    return store.save(noise, call, infotext="a fox")


@contextmanager
def small_disk() -> Iterator[None]:
    """No file of this process may grow beyond 4 kB: writing fails half-way, as on a full disk.

    Only around the call that is tested: the test runner's own output may be a longer file.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_a_copy_is_the_same_file_under_a_new_name(reference: ImageReference, tmp_path: Path) -> None:
    folder = tmp_path / "a" / "b"
    check_writable(folder, remedy="choose another --out")
    paths = [save_picture(reference, folder, "fox") for _ in range(3)]
    assert [path.name for path in paths] == ["fox.png", "fox-2.png", "fox-3.png"]
    assert paths[2].read_bytes() == Path(reference["path"]).read_bytes()


def test_a_file_of_someone_elses_is_left_alone(reference: ImageReference, tmp_path: Path) -> None:
    (tmp_path / "fox.png").write_text("mine")
    assert save_picture(reference, tmp_path, "fox").name == "fox-2.png"
    assert (tmp_path / "fox.png").read_text() == "mine"


def test_a_full_disk_leaves_nothing_behind(reference: ImageReference, tmp_path: Path) -> None:
    folder = tmp_path / "out"
    folder.mkdir()
    with pytest.raises(ArtifactError, match="it is kept as") as raised, small_disk():
        save_picture(reference, folder, "fox")
    assert "\n" not in str(raised.value)
    assert list(folder.iterdir()) == []


def test_a_folder_below_a_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigError, match="choose another --out"):
        check_writable(tmp_path / "file" / "out", remedy="choose another --out")


@pytest.mark.skipif(os.geteuid() == 0, reason="nothing is read-only for root")
def test_a_read_only_folder_is_refused(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    with pytest.raises(ConfigError, match="choose another --out"):
        check_writable(tmp_path, remedy="choose another --out")


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("A fox, 8-bit!", "a-fox-8-bit"),
        ("Crème brûlée", "creme-brulee"),
        ("../../etc/passwd", "etc-passwd"),
        ("狐", ""),
        ("word " * 20, "word-word-word-word-word-word-word-word"),
        ("x" * 60, "x" * 40),
    ],
)
def test_slugs_are_plain_and_short(text: str, name: str) -> None:
    assert slug(text, 40) == name


def test_a_name_says_what_was_asked_for_and_drawn(reference: ImageReference) -> None:
    attempt = Attempt(
        n=1, model="civitai:1@1", tool="t", arguments={}, call={"seed": 7}, reference=reference, reward=0.5, scores={},
        verdict="ok", reason="", seconds=1.0,
    )  # fmt: skip
    assert picture_name("a fox", attempt, "Pocket Animals") == "a-fox-pocket-animals-7"
    assert picture_name("狐", attempt, "狐") == "picture-model-7"
