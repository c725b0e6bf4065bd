from __future__ import annotations

from pathlib import Path

import pytest

from tests.file_server import FileServer
from tests.tool_specs.downloads.conftest import CONTENT, StoredSpec
from tool_specs.catalog import Catalog
from tool_specs.downloads import Downloader, ModelFolder, WeightsFiles
from tool_specs.exceptions import WeightsError
from tool_specs.pocket import pocket_file


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
