from __future__ import annotations

import hashlib
import json
import os
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from sd_parsers import ParserManager

from diffagent_tools.artifacts import SHEET_KEY, ArtifactStore, ImageReference, read_call
from tests.killed_process import kill_after, started
from tool_specs.calls import LoraUse, PocketCall
from tool_specs.exceptions import ArtifactError
from tool_specs.infotext import to_infotext

CALL = PocketCall(
    checkpoint="civitai:1@101",
    prompt="a fox on a blue background, naïve 絵",
    loras=(LoraUse(id="civitai:11@111", weight=0.8),),
    seed=7,
)
INFOTEXT = "a fox <lora:pixel:0.8>\nNegative prompt: cat\nSteps: 20, Sampler: Euler a, Seed: 7, Size: 64x64"


def _picture(seed: int = 1, size: tuple[int, int] = (64, 48)) -> Image.Image:
    values = np.random.default_rng(seed).integers(0, 256, (size[1], size[0], 3), dtype=np.uint8)
    return Image.fromarray(values)


@contextmanager
def _without_root() -> Iterator[None]:
    """Act as a user who may not write where root may."""
    if os.geteuid() != 0:
        yield
        return
    os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(0)


def _files(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file()]


def test_a_stored_picture_is_named_by_its_content(tmp_path: Path) -> None:
    store = ArtifactStore(tmp_path / "made" / "later")
    reference = store.save(_picture(), CALL, infotext=INFOTEXT)
    path = Path(reference["path"])
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    assert reference == {
        "type": "image",
        "sha256": digest,
        "path": str(tmp_path / "made" / "later" / digest[:2] / f"{digest}.png"),
        "width": 64,
        "height": 48,
        "media_type": "image/png",
    }
    assert json.loads(json.dumps(reference)) == reference
    assert _files(tmp_path) == [path]


def test_the_picture_comes_back_bit_for_bit_even_when_the_folder_has_moved(tmp_path: Path) -> None:
    reference = ArtifactStore(tmp_path / "a").save(_picture(), CALL, infotext=INFOTEXT)
    (tmp_path / "a").rename(tmp_path / "b")
    assert ArtifactStore(tmp_path / "b").open(reference).tobytes() == _picture().tobytes()


def test_the_png_holds_the_infotext_and_the_call(tmp_path: Path) -> None:
    reference = ArtifactStore(tmp_path).save(_picture(), CALL, infotext=INFOTEXT, extra={"reward": 0.7, "call": "x"})
    with Image.open(reference["path"]) as picture:
        assert picture.info["parameters"] == INFOTEXT
        record = json.loads(picture.info["diffagent"])
    assert record["reward"] == 0.7
    assert record["call"]["prompt"] == CALL.prompt
    assert read_call(reference["path"]) == CALL


def test_the_communitys_reader_understands_it(tmp_path: Path) -> None:
    names = {"civitai:1@101": "animals", "civitai:11@111": "pixel_art"}
    reference = ArtifactStore(tmp_path).save(_picture(), CALL, infotext=to_infotext(CALL, names=names))
    read = ParserManager().parse(Path(reference["path"]))
    assert read is not None
    assert [prompt.value for prompt in read.prompts] == [f"{CALL.prompt} <lora:pixel_art:0.8>"]
    assert [model.name for model in read.models] == ["animals"]
    assert [sampler.parameters["seed"] for sampler in read.samplers] == ["7"]


@pytest.mark.parametrize("infotext", ["", "näive", "絵 🦊\nSteps: 1", "x" * 20_000])
def test_any_text_survives(tmp_path: Path, infotext: str) -> None:
    reference = ArtifactStore(tmp_path).save(_picture(), CALL, infotext=infotext)
    with Image.open(reference["path"]) as picture:
        picture.load()
        assert picture.info["parameters"] == infotext


def test_the_same_picture_is_stored_once_and_a_damaged_one_is_replaced(tmp_path: Path) -> None:
    store = ArtifactStore(tmp_path)
    first = store.save(_picture(), CALL, infotext=INFOTEXT)
    assert store.save(_picture(), CALL, infotext=INFOTEXT) == first
    Path(first["path"]).write_bytes(b"half")
    with pytest.raises(ArtifactError, match="changed or damaged"):
        store.open(first)
    assert store.save(_picture(), CALL, infotext=INFOTEXT) == first
    assert store.open(first).tobytes() == _picture().tobytes()
    assert len(_files(tmp_path)) == 1
    assert store.save(_picture(), CALL, infotext="other")["sha256"] != first["sha256"]


def test_the_file_may_be_read_by_whom_the_umask_lets(tmp_path: Path) -> None:
    before = os.umask(0o027)
    try:
        reference = ArtifactStore(tmp_path).save(_picture(), CALL, infotext=INFOTEXT)
        assert os.umask(0o027) == 0o027
    finally:
        os.umask(before)
    assert Path(reference["path"]).stat().st_mode & 0o777 == 0o640


def test_a_picture_is_found_by_its_hash(tmp_path: Path) -> None:
    store = ArtifactStore(tmp_path / "first")
    reference = store.save(_picture(size=(64, 48)), CALL, infotext=INFOTEXT)
    assert store.find(reference["sha256"]) == reference
    for wrong in ("0" * 64, reference["sha256"].upper(), "../first"):
        with pytest.raises(ArtifactError, match=r"cannot be read|is not a SHA-256"):
            store.find(wrong)
    Path(reference["path"]).write_bytes(b"damaged")
    with pytest.raises(ArtifactError, match="changed or damaged"):
        store.find(reference["sha256"])


def test_a_missing_picture_and_a_bad_hash_are_named(tmp_path: Path) -> None:
    store = ArtifactStore(tmp_path)
    reference = ImageReference(
        type="image", sha256="ab" * 32, path="elsewhere", width=1, height=1, media_type="image/png"
    )
    with pytest.raises(ArtifactError, match=r"abab.*\.png cannot be read"):
        store.open(reference)
    with pytest.raises(ArtifactError, match="is not a SHA-256"):
        store.open({**reference, "sha256": "../../etc/passwd"})


def test_a_picture_without_a_call_is_named(tmp_path: Path) -> None:
    plain = tmp_path / "plain.png"
    _picture().save(plain)
    with pytest.raises(ArtifactError, match=r"plain\.png holds no call"):
        read_call(plain)
    text = tmp_path / "text.png"
    text.write_text("hello")
    with pytest.raises(ArtifactError, match="not a readable PNG"):
        read_call(text)
    with pytest.raises(ArtifactError, match=r"gone\.png cannot be read"):
        read_call(tmp_path / "gone.png")


def test_a_truncated_png_is_named(tmp_path: Path) -> None:
    reference = ArtifactStore(tmp_path).save(_picture(), CALL, infotext=INFOTEXT)
    path = Path(reference["path"])
    path.write_bytes(path.read_bytes()[:-4000])
    with pytest.raises(ArtifactError, match="not a readable PNG"):
        read_call(path)


@pytest.mark.parametrize("record", ["{", "[]", "{}", '{"call": {"family": "pocket"}}', '{"call": 3}', '{"call": "{}"}'])
def test_a_call_that_cannot_be_read_is_named(tmp_path: Path, record: str) -> None:
    from PIL.PngImagePlugin import PngInfo

    texts = PngInfo()
    texts.add_text("diffagent", record)
    path = tmp_path / "odd.png"
    _picture().save(path, pnginfo=texts)
    with pytest.raises(ArtifactError, match=r"the call inside .*odd\.png cannot be read"):
        read_call(path)


def test_a_path_through_a_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(ArtifactError, match="a part of the path is a file; choose another folder"):
        ArtifactStore(tmp_path / "file" / "out").save(_picture(), CALL, infotext=INFOTEXT)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    folder = tmp_path / "disk"
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(folder)]
    try:
        done = subprocess.run(command, capture_output=True, check=False)
    except FileNotFoundError:
        pytest.skip("there is no mount command here")
    if done.returncode != 0:
        pytest.skip("a small disk can only be mounted as root")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


def test_a_full_disk_is_named_and_nothing_half_written_stays(small_disk: Path) -> None:
    store = ArtifactStore(small_disk)
    kept = store.save(_picture(size=(16, 16)), CALL, infotext=INFOTEXT)
    with pytest.raises(ArtifactError, match=f"{small_disk}: the disk is full; free some space"):
        store.save(_picture(size=(300, 300)), CALL, infotext=INFOTEXT)
    assert [str(path) for path in _files(small_disk)] == [kept["path"]]
    assert store.open(kept).size == (16, 16)


def test_a_read_only_disk_is_named(small_disk: Path) -> None:
    subprocess.run(["mount", "-o", "remount,ro", str(small_disk)], check=True)
    with pytest.raises(ArtifactError, match="the file system is read-only; choose another folder"):
        ArtifactStore(small_disk / "out").save(_picture(), CALL, infotext=INFOTEXT)


def test_a_read_only_folder_is_named(tmp_path: Path) -> None:
    ArtifactStore(tmp_path / "warm").save(_picture(), CALL, infotext=INFOTEXT)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o555)
        with (
            _without_root(),
            pytest.raises(ArtifactError, match=f"{folder / 'out'}: it may not be written to; change its permissions"),
        ):
            ArtifactStore(folder / "out").save(_picture(), CALL, infotext=INFOTEXT)


def test_a_picture_is_read_back_by_its_hash_alone(tmp_path: Path) -> None:
    store = ArtifactStore(tmp_path)
    picture = _picture()
    assert store.load(store.save(picture, CALL, infotext=INFOTEXT)["sha256"]).tobytes() == picture.tobytes()
    with pytest.raises(ArtifactError, match="is not a SHA-256"):
        store.load("../fox")


def test_a_sheet_carries_what_is_told_of_its_pictures_and_no_call(tmp_path: Path) -> None:
    reference = ArtifactStore(tmp_path).save_sheet(_picture(), [{"title": "1. Fox", "image": None}])
    with Image.open(reference["path"]) as sheet:
        assert json.loads(sheet.info[SHEET_KEY]) == [{"title": "1. Fox", "image": None}]
    with pytest.raises(ArtifactError, match="holds no call"):
        read_call(reference["path"])


@pytest.mark.parametrize("moment", ["drawing", "writing"])
def test_a_process_that_is_killed_leaves_only_whole_pictures(tmp_path: Path, moment: str) -> None:
    """Killed in the second step of a picture, or when all of its file is written but not in its place."""
    kill_after(started("tests.killed_drawing", tmp_path, moment), tmp_path / "log", 8, seconds=120)
    store = ArtifactStore(tmp_path / "store")
    pictures = list(store.folder.rglob("*.png"))
    assert pictures
    for path in pictures:
        assert store.load(path.stem).size == (32, 32)
        assert read_call(path).prompt == "a fox"
