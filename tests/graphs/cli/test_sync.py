from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from rich.console import Console

from graphs.cli.sync_progress import SyncWatch, progress_line
from tests.civitai_models import NOW, plain_model
from tests.civitai_server import CivitaiServer, data
from tests.graphs.cli.conftest import Result
from tool_specs.home import catalog_folder
from tool_specs.store.database import CatalogDatabase
from tool_specs.syncing import SyncProgress, Tally

ROOT = Path(__file__).parents[3]
Run = Callable[..., Result]


@pytest.fixture
def civitai(monkeypatch: pytest.MonkeyPatch) -> Iterator[CivitaiServer]:
    models = [plain_model(number, at=NOW - number * timedelta(days=1)) for number in range(1, 9)]
    with CivitaiServer([*models, plain_model(20, files=[], type="Poses")], page_size=5) as server:
        monkeypatch.setenv("CIVITAI_API_URL", server.url)
        yield server


def test_sync_fills_the_catalog_and_then_reads_only_news(run: Run, civitai: CivitaiServer) -> None:
    first = run("sync", "--json")
    assert first.code == 0
    assert first.stderr == ""
    document = first.document
    assert (document["outcome"], document["pages"], document["models"], document["error"]) == ("complete", 2, 8, None)
    assert document["read"] == document["stored"] + document["set_aside"] == 8
    with CatalogDatabase.open(catalog_folder(), read_only=True) as database:
        assert database.count().specs == 8
    again = run("sync")
    assert again.code == 0
    assert (
        "8 versions = 8 stored + 0 set aside" in again.stdout or "5 versions = 5 stored + 0 set aside" in again.stdout
    )
    assert "0 new, 0 changed" in again.stdout
    assert "\x1b" not in again.stdout + again.stderr


def test_the_options_reach_civitai(run: Run, civitai: CivitaiServer) -> None:
    options = ("--types", "lora,Checkpoint", "--types", "LoCon", "--base-model", "sd 1.5, pony", "--period", "week")
    result = run("sync", *options, "--min-downloads", "5", "--rating", "explicit", "--limit", "3")
    assert result.code == 0
    assert "the same command goes on from there" in result.stdout
    assert "left out" in result.stdout
    (query,) = civitai.listings
    assert query == {
        "limit": ["3"], "sort": ["Newest"], "period": ["Week"], "types": ["LORA", "Checkpoint", "LoCon"],
        "baseModels": ["SD 1.5", "Pony"], "nsfw": ["true"],
    }  # fmt: skip


def test_wrong_usage(run: Run, civitai: CivitaiServer) -> None:
    unknown = run("sync", "--base-model", "SD1.5")
    assert (unknown.code, unknown.stderr.count("\n")) == (2, 1)
    assert "SD 1.5" in unknown.stderr
    assert run("sync", "--rating", "any").code == 2
    assert run("sync", "--limit", "0").code == 2
    assert civitai.listings == []


def test_civitai_refuses(run: Run, civitai: CivitaiServer) -> None:
    civitai.scripted = [data({"error": "Unauthorized"}, 401)]
    result = run("sync")
    assert (result.code, result.stderr.count("\n"), result.stdout) == (4, 1, "")
    assert "CIVITAI_API_KEY" in result.stderr

    civitai.after = lambda count: civitai.scripted.append(data({"error": "no"}, 403)) if count == 3 else None
    result = run("sync", "--json")
    assert result.code == 4
    document = result.document
    assert (document["outcome"], document["models"], document["error"]["exit_code"]) == ("failed", 5, 4)
    rest = run("sync", "--json").document
    assert (rest["outcome"], rest["models"], rest["added"]) == ("complete", 8, 8)


def test_a_list_without_end(run: Run, civitai: CivitaiServer) -> None:
    civitai.scripted = [data({"items": [plain_model(1)], "metadata": {"nextCursor": "a"}})] * 2
    result = run("sync", "--json")
    assert (result.code, result.document["error"]["type"]) == (4, "circular")


@pytest.mark.parametrize("as_json", [False, True])
def test_ctrl_c_keeps_what_is_done(tmp_path: Path, civitai: CivitaiServer, as_json: bool) -> None:
    command = [sys.executable, "-m", "graphs.cli.main", "sync", *(["--json"] if as_json else [])]
    environment = {**os.environ, "DIFFAGENT_HOME": str(tmp_path)}
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    process: list[subprocess.Popen[str]] = []
    # The first page is stored in the second that lies between two requests.
    civitai.after = lambda count: process[0].send_signal(signal.SIGINT) if count == 2 else None
    process.append(subprocess.Popen(command, cwd=ROOT, env=environment, **pipes))
    stdout, stderr = process[0].communicate(timeout=60)
    assert process[0].returncode == 130
    assert "Traceback" not in stderr
    if as_json:
        document = json.loads(stdout)
        assert (document["outcome"], document["models"], document["error"]["exit_code"]) == ("interrupted", 5, 130)
    else:
        assert "the same command goes on from there" in stdout
        assert "interrupted" in stderr
    civitai.after = lambda count: None
    again = subprocess.run([*command, "--json"], cwd=ROOT, env=environment, capture_output=True, text=True, check=True)
    assert json.loads(again.stdout)["models"] == 8


def progress(**fields: object) -> SyncProgress:
    known = {"phase": "listing", "tally": Tally(models=1200, added=2000, set_aside=30), "reached": None}
    nothing = {"until": None, "expected_models": None, "to_check": 0}
    return SyncProgress(**{**known, **nothing, **fields})  # type: ignore[arg-type]


def test_progress_says_what_is_known_and_no_more() -> None:
    assert progress_line(progress(), 0) == "1,200 models · 2,000 versions stored · 30 set aside"
    assert progress_line(progress(reached=NOW), 90).endswith("back to 2024-08-01 · 90 models a minute")
    assert "will stop at 2024-07-29" in progress_line(progress(reached=NOW, until=NOW - timedelta(days=3)), 0)
    assert progress_line(progress(expected_models=9200), 100).endswith("last time there were 9,200, about 80 min left")
    assert progress_line(progress(expected_models=900), 100).endswith("last time there were 900")
    checking = progress(phase="checking", to_check=7, tally=Tally(models=5, checked=3))
    assert progress_line(checking, 9).endswith("asked for 3 of 7 that were missing")


def test_progress_is_for_terminals_only(capsys: pytest.CaptureFixture[str]) -> None:
    for is_terminal in (False, True):
        console = Console(stderr=True, force_terminal=is_terminal, width=120)
        with SyncWatch(console) as watch:
            watch.wait("HTTP 429 [bold]x[/]", 4)
            watch.show(progress())
        assert watch.tally is not None
        captured = capsys.readouterr()
        assert captured.out == ""
        assert bool(captured.err) is is_terminal
