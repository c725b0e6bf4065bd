from __future__ import annotations

import hashlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.file_server import FileServer, Stored
from tests.graphs.cli.conftest import Result
from tests.tool_specs.downloads.conftest import CONTENT
from tests.tool_specs.importing.conftest import model, version
from tool_specs.catalog import Catalog
from tool_specs.civitai.records import specs_of
from tool_specs.home import catalog_folder
from tool_specs.store.database import CatalogDatabase

ROOT = Path(__file__).parents[3]
SHA256 = hashlib.sha256(CONTENT).hexdigest().upper()
Run = Callable[..., Result]


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[FileServer]:
    """Files of the versions 50 and 60, both of which the catalog knows."""
    monkeypatch.setenv("DIFFAGENT_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("DIFFAGENT_DOWNLOAD_HOSTS", "127.0.0.1")
    records = [model(5, version(50, sha256=SHA256)), model(6, version(60, sha256="AB" * 32))]
    with CatalogDatabase.open(catalog_folder()) as database, database.transaction() as writing:
        writing.put_specs([spec for record in records for spec in specs_of(record).specs], origin="dump")
    with FileServer() as running:
        running.files = {"50": Stored(CONTENT), "60": Stored(CONTENT)}
        monkeypatch.setenv("CIVITAI_API_URL", running.url)
        yield running


def test_a_version_is_fetched_and_linked(run: Run, server: FileServer) -> None:
    result = run("fetch", "50")
    assert (result.code, result.stderr) == (0, "")
    spec_id, path = result.stdout.split(maxsplit=1)
    assert spec_id == "civitai:5@50"
    assert Path(path.strip()).read_bytes() == CONTENT
    again = run("fetch", "civitai:5", "--json")
    assert again.document == {"files": [{"name": "civitai:5", "id": spec_id, "path": path.strip(), "error": None}]}
    assert len(server.asked) == 1
    with CatalogDatabase.open(catalog_folder(), read_only=True) as database:
        assert [(file.sha256, file.spec_id) for file in database.local_files()] == [(SHA256, spec_id)]


def test_a_folder_of_ones_own_is_used_as_it_is(
    run: Run, server: FileServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ours = tmp_path / "ComfyUI" / "models" / "loras" / "mine.safetensors"
    ours.parent.mkdir(parents=True)
    ours.write_bytes(CONTENT)
    monkeypatch.setenv("DIFFAGENT_MODELS", str(tmp_path / "ComfyUI"))
    spec_size = model(5, version(50, files=[{"id": 1, "name": "v50.safetensors", "type": "Model",
                      "sizeKB": len(CONTENT) / 1024, "hashes": {"SHA256": SHA256}}]))  # fmt: skip
    with CatalogDatabase.open(catalog_folder()) as database, database.transaction() as writing:
        writing.put_specs(specs_of(spec_size).specs, origin="api")
    assert run("fetch", "50").stdout.strip() == f"civitai:5@50  {ours}"
    assert server.asked == []


def test_only_what_ships_needs_no_link(
    run: Run, server: FileServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shipped = Catalog.pocket().get("9001")
    assert shipped.primary_file is not None
    ours = tmp_path / "models" / "trained-anew.safetensors"
    ours.parent.mkdir()
    ours.write_bytes(CONTENT)
    monkeypatch.setenv("DIFFAGENT_MODELS", str(ours.parent))
    file = shipped.primary_file.model_copy(update={"name": ours.name, "size_kb": len(CONTENT) / 1024, "sha256": SHA256})
    number = 2**31 + 5
    own = shipped.model_copy(update={"model_id": number, "version_id": number, "files": (file,)})
    assert own.is_local
    with CatalogDatabase.open(catalog_folder()) as database, database.transaction() as writing:
        writing.put_specs([shipped, own], origin="local")
    result = run("fetch", shipped.id, own.id)
    assert (result.code, result.stdout.splitlines()[1]) == (0, f"{own.id}  {ours}")
    with CatalogDatabase.open(catalog_folder(), read_only=True) as database:
        assert [file.spec_id for file in database.local_files()] == [own.id]


def test_one_that_cannot_be_had_does_not_keep_the_others_away(run: Run, server: FileServer) -> None:
    result = run("fetch", "60", "50")
    assert result.code == 4
    assert "SHA-256" in result.stderr
    assert result.stderr.count("\n") == 1
    assert result.stdout.startswith("civitai:5@50 ")
    document = run("fetch", "nonsense", "60", "50", "--json").document
    assert [row["error"] and row["error"]["type"] for row in document["files"]] == [
        "CatalogError",
        "DownloadError",
        None,
    ]
    assert run("fetch", "nonsense", "50").code == 2
    assert run("fetch").code == 2


def test_ctrl_c_keeps_the_part(server: FileServer, tmp_path: Path) -> None:
    server.files["50"].pause = 0.02
    command = [sys.executable, "-m", "graphs.cli.main", "fetch", "50"]
    process = subprocess.Popen(command, cwd=ROOT, env=os.environ, stderr=subprocess.PIPE, text=True)
    deadline = time.monotonic() + 60
    while not any(path.stat().st_size > 20_000 for path in (tmp_path / "home").rglob(".*.part")):
        assert time.monotonic() < deadline
        time.sleep(0.01)
    process.send_signal(signal.SIGINT)
    stderr = process.communicate(timeout=30)[1]
    assert process.returncode == 130
    assert stderr.strip() == "diffagent: interrupted"
    server.files["50"].pause = 0
    assert subprocess.run(command, cwd=ROOT, env=os.environ, capture_output=True, check=True).stdout
    assert int(server.given[1][1]["range"].removeprefix("bytes=").rstrip("-")) > 20_000
