from __future__ import annotations

import gzip
import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.graphs.cli.test_commands import ROOT, Run
from tool_specs.store.database import CatalogDatabase

MODEL = {
    "id": 4, "name": "Ink [bold]fox[/]", "type": "LORA",
    "modelVersions": [{"id": 41, "name": "v1", "baseModel": "SD 1.5", "files": [{"name": "ink.safetensors"}]}],
}  # fmt: skip
PAIR = {"id": "train-1", "text": "a fox", "gold": [{"model_id": 4, "version_id": 41}]}


@pytest.fixture
def dump(tmp_path: Path) -> Path:
    path = tmp_path / "[dump].jsonl"
    path.write_text(json.dumps(MODEL) + "\n{[/]\n")
    return path


def test_import_says_what_it_came_to(run: Run, dump: Path, tmp_path: Path) -> None:
    pairs = tmp_path / "pairs.jsonl"
    pairs.write_text(json.dumps(PAIR) + "\n" + json.dumps({**PAIR, "id": "dev-1"}))
    result = run("import", str(dump), "--evidence", str(pairs))

    assert result.code == 0
    assert result.stderr == ""
    lines = result.stdout.splitlines()
    assert lines[0].split() == ["read", "stored", "added", "set", "aside", "path"]
    assert lines[1].split()[:5] == ["models", "2", "1", "1", "1"]
    evidence, whole = (line.split() for line in lines if line.startswith(("evidence", "total")))
    assert evidence[1:3] == ["2", "1"]
    assert whole == ["total", "4", "2", "2", "2"]
    assert "evaluation pair (dev)" in result.stdout
    assert str(tmp_path / "home" / "catalog" / "catalog.sqlite") in result.stdout
    with CatalogDatabase.open(tmp_path / "home" / "catalog", read_only=True) as database:
        assert (database.count().specs, database.count().evidence) == (1, 1)


def test_import_as_one_document(run: Run, dump: Path) -> None:
    run("import", str(dump))
    document = run("import", str(dump), "--json").document
    (path,) = document["paths"]
    assert path["path"] == str(dump)
    assert (path["read"], path["stored"], path["unchanged"], path["set_aside"]) == (2, 1, 1, 1)
    assert document["total"]["read"] == 2
    assert document["error"] is None


def test_import_refuses_what_is_not_there(run: Run, tmp_path: Path) -> None:
    result = run("import", str(tmp_path / "nowhere"))
    assert (result.code, result.stderr.count("\n")) == (2, 1)
    assert "nowhere" in result.stderr
    assert run("import").code == 2
    assert run("import", "--evidence", "nowhere", "--json").document["error"]["exit_code"] == 2


def test_without_network_a_look_up_is_a_note(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CIVITAI_API_URL", "http://127.0.0.1:1/api/v1")
    assert run("import", str(tmp_path), "--look-up").code == 0


@pytest.mark.parametrize("as_json", [False, True])
def test_an_interrupted_import_keeps_what_it_has(tmp_path: Path, as_json: bool) -> None:
    dump = tmp_path / "dump.jsonl.gz"
    with gzip.open(dump, "wt", compresslevel=1) as file:
        for number in range(1, 60_000):
            file.write(json.dumps({**MODEL, "id": number}) + "\n")
    home = tmp_path / "home"
    command = [sys.executable, "-m", "graphs.cli.main", "import", str(dump), *(["--json"] if as_json else [])]
    environment = {"DIFFAGENT_HOME": str(home), "PATH": "/usr/bin:/bin"}
    process = subprocess.Popen(
        command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    try:
        while process.poll() is None and not (home / "catalog" / "catalog.sqlite").exists():
            time.sleep(0.02)
        with CatalogDatabase.open(home / "catalog") as database:
            while process.poll() is None and database.version < 500:
                time.sleep(0.02)
            process.send_signal(signal.SIGINT)
            document, told = process.communicate(timeout=60)
            assert process.returncode == 130
            if as_json:
                assert json.loads(document)["error"]["exit_code"] == 130
            else:
                assert told.count("\n") == 1
                assert "the same command goes on" in told
            assert database.count().specs >= 500
    finally:
        process.kill()
