"""Disks and files that are not as they should be: one line that says what, where and what to do."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from tests.tool_specs.store.processes import numbered_spec
from tool_specs.exceptions import CatalogError, ConfigError, DiffAgentError
from tool_specs.store.database import FILE_NAME, CatalogDatabase


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of one megabyte."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(folder)]
    if subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("a tmpfs cannot be mounted here")
    yield folder
    subprocess.run(["umount", "--lazy", str(folder)], check=True)


def fill(folder: Path, specs: int = 40) -> None:
    with CatalogDatabase.open(folder) as database, database.transaction() as writing:
        writing.put_specs(map(numbered_spec, range(1, specs + 1)), origin="api")


def is_one_clear_line(error: DiffAgentError, folder: Path) -> bool:
    text = str(error)
    return "\n" not in text and str(folder) in text and len(text) < 400


def test_a_missing_catalog_says_how_to_get_one(tmp_path: Path) -> None:
    with pytest.raises(
        CatalogError, match=r"there is no catalog in .* `diffagent sync` or `diffagent import"
    ) as caught:
        CatalogDatabase.open(tmp_path / "none", read_only=True)
    assert is_one_clear_line(caught.value, tmp_path)
    assert not (tmp_path / "none").exists()


def test_a_file_that_is_no_database(tmp_path: Path) -> None:
    (tmp_path / FILE_NAME).write_bytes(b"not a database at all, but long enough to be looked at" * 50)
    for read_only in (True, False):
        with pytest.raises(CatalogError, match="is damaged; move it away") as caught:
            CatalogDatabase.open(tmp_path, read_only=read_only)
        assert is_one_clear_line(caught.value, tmp_path)


def test_a_database_of_something_else_stays_as_it_is(tmp_path: Path) -> None:
    with sqlite3.connect(tmp_path / FILE_NAME) as connection:
        connection.execute("CREATE TABLE photos (name TEXT)")
    connection.close()
    before = (tmp_path / FILE_NAME).read_bytes()
    for read_only in (True, False):
        with pytest.raises(CatalogError, match="is an SQLite file of something else"):
            CatalogDatabase.open(tmp_path, read_only=read_only)
    assert (tmp_path / FILE_NAME).read_bytes() == before


def test_a_newer_schema_is_left_to_the_newer_release(tmp_path: Path) -> None:
    fill(tmp_path)
    with sqlite3.connect(tmp_path / FILE_NAME) as connection:
        connection.execute("PRAGMA user_version = 99")
    connection.close()
    for read_only in (True, False):
        with pytest.raises(CatalogError, match=r"newer release \(schema 99; this one reads \d+\); run `pip install"):
            CatalogDatabase.open(tmp_path, read_only=read_only)


@pytest.mark.parametrize("part", ["middle", "tail"])
def test_damage_inside_the_file_is_told(tmp_path: Path, part: str) -> None:
    fill(tmp_path, 400)
    path = tmp_path / FILE_NAME
    content = bytearray(path.read_bytes())
    if part == "tail":
        del content[len(content) // 2 :]
    else:
        content[8192:-8192] = b"\x5a" * (len(content) - 2 * 8192)
    path.write_bytes(content)
    with pytest.raises(CatalogError, match="is damaged") as caught, CatalogDatabase.open(tmp_path) as database:
        list(database.spec_changes(0, 1000))
    assert is_one_clear_line(caught.value, tmp_path)


def test_a_damaged_row_names_its_spec(tmp_path: Path) -> None:
    fill(tmp_path)
    with sqlite3.connect(tmp_path / FILE_NAME) as connection:
        connection.execute("UPDATE specs SET body = x'00' WHERE id = 'civitai:7@107'")
    connection.close()
    with CatalogDatabase.open(tmp_path) as database:
        assert database.spec("civitai:8@108") == numbered_spec(8)
        with pytest.raises(CatalogError, match="row of civitai:7@107 is damaged"):
            database.spec("civitai:7@107")


def test_a_file_in_the_place_of_the_folder(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigError, match=r"cannot be made .* set DIFFAGENT_HOME"):
        CatalogDatabase.open(tmp_path / "file" / "catalog")


def test_a_folder_in_the_place_of_the_file(tmp_path: Path) -> None:
    (tmp_path / FILE_NAME).mkdir()
    with pytest.raises(ConfigError, match="cannot be opened; check"):
        CatalogDatabase.open(tmp_path)


def test_a_full_disk_loses_only_the_transaction(small_disk: Path) -> None:
    fill(small_disk)
    with CatalogDatabase.open(small_disk) as database:
        version = database.version
        with (
            pytest.raises(ConfigError, match=r"disk is full; free some space") as caught,
            database.transaction() as writing,
        ):
            writing.put_specs(map(numbered_spec, range(1, 20_000)), origin="api")
        assert is_one_clear_line(caught.value, small_disk)
        assert database.version == version
        assert database.count().specs == 40
        with database.transaction() as writing:
            writing.remove(["civitai:7@107"])
        assert database.count().specs == 39


def test_a_full_disk_holds_no_new_catalog(small_disk: Path) -> None:
    with (small_disk / "stuffing").open("wb", buffering=0) as file, suppress(OSError):
        while True:
            file.write(b"\0" * 4096)
    with pytest.raises(ConfigError, match="free some space") as caught:
        CatalogDatabase.open(small_disk / "catalog")
    assert "\n" not in str(caught.value)


def test_a_disk_that_may_only_be_read(small_disk: Path) -> None:
    fill(small_disk)
    subprocess.run(["mount", "-o", "remount,ro", str(small_disk)], check=True)
    with CatalogDatabase.open(small_disk, read_only=True) as database:
        assert database.count().specs == 40
        assert database.spec("civitai:7@107") == numbered_spec(7)
        with pytest.raises(CatalogError, match="opened read-only"), database.transaction():
            pass
    with pytest.raises(ConfigError, match=r"cannot be opened; check .* written to") as caught:
        CatalogDatabase.open(small_disk)
    assert is_one_clear_line(caught.value, small_disk)
    with pytest.raises(ConfigError, match="cannot be made"):
        CatalogDatabase.open(small_disk / "new")


@contextmanager
def without_root() -> Iterator[None]:
    """Act as a user who may not write where root may."""
    if os.geteuid() != 0:
        yield
        return
    os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(0)


def test_the_catalog_of_somebody_else_may_be_read_but_not_written() -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o755)
        fill(folder)
        with without_root(), CatalogDatabase.open(folder, read_only=True) as database:
            assert database.count().specs == 40
        with CatalogDatabase.open(folder) as owner:
            with owner.transaction() as writing:
                writing.remove(["civitai:7@107"])
            with without_root(), CatalogDatabase.open(folder, read_only=True) as database:
                assert database.count().specs == 39
                with owner.transaction() as writing:
                    writing.remove(["civitai:8@108"])
                assert database.count().specs == 38
        with without_root(), pytest.raises(ConfigError, match="written to") as caught:  # noqa: SIM117
            with CatalogDatabase.open(folder) as database, database.transaction() as writing:
                writing.put_note("key", 1)
        assert is_one_clear_line(caught.value, folder)


def test_a_folder_that_may_not_be_entered() -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        fill(folder)
        folder.chmod(0)
        with without_root(), pytest.raises(ConfigError) as caught:
            CatalogDatabase.open(folder, read_only=True)
        folder.chmod(0o700)
    assert is_one_clear_line(caught.value, folder)


def test_a_copy_that_sqlite_made_is_a_catalog_like_any(tmp_path: Path) -> None:
    fill(tmp_path / "old")
    (tmp_path / "new").mkdir()
    with sqlite3.connect(tmp_path / "old" / FILE_NAME) as connection:
        connection.execute("VACUUM INTO ?", (str(tmp_path / "new" / FILE_NAME),))
    connection.close()
    with CatalogDatabase.open(tmp_path / "new", read_only=True) as database:
        assert database.count().specs == 40
    assert not (tmp_path / "new" / f"{FILE_NAME}-wal").exists()
    with CatalogDatabase.open(tmp_path / "new") as owner, owner.transaction() as writing:
        writing.remove(["civitai:7@107"])
        with CatalogDatabase.open(tmp_path / "new", read_only=True) as reader:
            assert reader.count().specs == 40
