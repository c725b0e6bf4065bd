from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from tests.file_server import FileServer
from tests.tool_specs.downloads.conftest import CONTENT, StoredSpec
from tool_specs.catalog import Catalog
from tool_specs.downloads import Downloader, ModelFolder, WeightsFiles
from tool_specs.exceptions import ConfigError, WeightsError
from tool_specs.pocket import pocket_file
from tool_specs.spec import ToolSpec
from tool_specs.store.rows import LocalFile


def test_folders_come_before_downloads(server: FileServer, tmp_path: Path, stored_spec: StoredSpec) -> None:
    spec = stored_spec()
    roots = [tmp_path / "one", tmp_path / "two"]
    for root in roots:
        root.mkdir()
    ours = roots[1] / "mine.safetensors"
    ours.write_bytes(CONTENT)
    loading = Downloader(tmp_path / "fetched", server.url, hosts=["127.0.0.1"])
    files = WeightsFiles([ModelFolder(root) for root in roots], loading)
    assert files(spec) == ours
    # Once it is found, the other folders are not looked through any more.
    roots[0].rmdir()
    assert files(spec) == ours
    assert server.asked == []


def test_what_no_folder_has_is_downloaded_once(server: FileServer, tmp_path: Path, stored_spec: StoredSpec) -> None:
    spec = stored_spec()
    root = tmp_path / "models"
    root.mkdir()
    files = WeightsFiles([ModelFolder(root)], Downloader(tmp_path / "fetched", server.url, hosts=["127.0.0.1"]))
    fetched = files(spec)
    assert fetched.is_relative_to(tmp_path / "fetched")
    root.rmdir()
    assert files(spec) == fetched
    assert len(server.asked) == 1


def link_to(path: Path, spec: ToolSpec, content: bytes = CONTENT) -> LocalFile:
    """What `diffagent import` stores of a file."""
    status = path.stat()
    sha256 = hashlib.sha256(content).hexdigest().upper()
    return LocalFile(str(path), status.st_size, status.st_mtime_ns, sha256, spec.id)


def test_what_was_imported_is_used_where_it_lies(server: FileServer, tmp_path: Path, stored_spec: StoredSpec) -> None:
    spec = stored_spec()
    ours = tmp_path / "mine.safetensors"
    ours.write_bytes(CONTENT)
    loading = Downloader(tmp_path / "fetched", server.url, hosts=["127.0.0.1"])
    files = WeightsFiles(downloader=loading, known=[link_to(ours, spec)])
    assert files(spec) == ours
    (unhashed,) = spec.files
    assert files(spec.model_copy(update={"files": (unhashed.model_copy(update={"sha256": None}),)})) == ours
    assert server.asked == []
    ours.write_bytes(CONTENT[:-1] + b"x")
    assert files(spec).is_relative_to(tmp_path / "fetched")
    ours.unlink()
    assert files(spec).is_relative_to(tmp_path / "fetched")


def test_a_pickle_that_was_imported_is_not_used(tmp_path: Path, stored_spec: StoredSpec) -> None:
    spec = stored_spec()
    ours = tmp_path / "mine.ckpt"
    ours.write_bytes(CONTENT)
    with pytest.raises(WeightsError, match="not on this machine"):
        WeightsFiles(known=[link_to(ours, spec)])(spec)


def test_a_pocket_model_of_your_own_is_not_the_one_that_ships(tmp_path: Path) -> None:
    shipped = Catalog.pocket().get("9001")
    assert shipped.primary_file is not None
    ours = tmp_path / shipped.primary_file.name
    ours.write_bytes(CONTENT)
    file = shipped.primary_file.model_copy(update={"sha256": hashlib.sha256(CONTENT).hexdigest().upper()})
    number = 2**31 + 5
    spec = shipped.model_copy(update={"model_id": number, "version_id": number, "files": (file,)})
    assert spec.is_local
    assert WeightsFiles(known=[link_to(ours, spec)])(spec) == ours


def test_a_folder_of_a_user_whom_nobody_knows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DIFFAGENT_MODELS", "~nobody-here/models")
    with pytest.raises(ConfigError, match=r"no home folder for '~nobody-here/models'; set DIFFAGENT_MODELS"):
        WeightsFiles.from_environment()


def test_without_downloads_it_says_what_to_do(stored_spec: StoredSpec) -> None:
    with pytest.raises(WeightsError, match="diffagent fetch civitai:5@105"):
        WeightsFiles()(stored_spec())


def test_what_ships_needs_no_folder() -> None:
    spec = Catalog.pocket().get("9001")
    assert spec.primary_file is not None
    assert WeightsFiles()(spec) == pocket_file(spec.primary_file.name)


def test_settings_of_the_environment(
    server: FileServer, tmp_path: Path, stored_spec: StoredSpec, monkeypatch: pytest.MonkeyPatch
) -> None:
    spec = stored_spec()
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    ours = tmp_path / "b" / "mine.safetensors"
    ours.write_bytes(CONTENT)
    monkeypatch.setenv("DIFFAGENT_MODELS", f"{tmp_path / 'a'}:{tmp_path / 'b'}")
    monkeypatch.setenv("DIFFAGENT_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("CIVITAI_API_URL", server.url)
    monkeypatch.setenv("DIFFAGENT_DOWNLOAD_HOSTS", "127.0.0.1")
    assert WeightsFiles.from_environment()(spec) == ours
    ours.unlink()
    assert WeightsFiles.from_environment()(spec).is_relative_to(tmp_path / "home" / "models")
