from __future__ import annotations

import hashlib
import logging
import os
import pickle
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from tests.civitai_server import Reply, data, html
from tests.file_server import FileServer, Stored
from tests.tool_specs.downloads.conftest import CONTENT, StoredSpec, names_in
from tool_specs.downloads import Downloader
from tool_specs.downloads.transfer import SPARE
from tool_specs.exceptions import ConfigError, DownloadError, WeightsError
from tool_specs.spec import ToolSpec

ROOT = Path(__file__).parents[3]
KEY = "civitai-secret-0123456789"
SCRIPT = """
import sys; from pathlib import Path; from tool_specs.downloads import Downloader; from tool_specs.spec import ToolSpec
print(Downloader(Path(sys.argv[1]), sys.argv[2], hosts=["127.0.0.1"]).fetch(ToolSpec.model_validate_json(sys.argv[3])))
"""


def downloader(server: FileServer, folder: Path, **options: Any) -> Downloader:
    quick = {"hosts": ["127.0.0.1"], "backoff": 0.001, "attempts": 3, "timeout": 5}
    return Downloader(folder, server.url, **{**quick, **options})


def refused(server: FileServer, folder: Path, spec: ToolSpec, **options: Any) -> DownloadError:
    with pytest.raises(DownloadError) as caught:
        downloader(server, folder, **options).fetch(spec)
    assert names_in(folder) == []
    assert "\n" not in str(caught.value)
    return caught.value


def test_a_file_comes_whole_and_is_asked_for_once(
    server: FileServer, tmp_path: Path, stored_spec: StoredSpec, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG, logger="httpx")
    steps: list[tuple[str, int, int]] = []
    spec = stored_spec()
    ours = downloader(server, tmp_path, api_key=KEY, on_step=lambda *step: steps.append(step))
    path = ours.fetch(spec)
    assert path.read_bytes() == CONTENT
    assert path.name == "ink.safetensors"
    assert path.parent.name == f"105-{hashlib.sha256(CONTENT).hexdigest()[:10].upper()}"
    assert names_in(tmp_path) == ["ink.safetensors"]
    assert not list(tmp_path.rglob(".*.part")) + list(tmp_path.rglob(".*.tag"))
    assert steps[-1] == ("downloading", len(CONTENT), len(CONTENT))
    assert ours.fetch(spec) == path
    assert [target for target, _ in server.asked] == ["/api/download/models/105?fileId=77"]
    # The key is for Civitai only, and the signed address is in no log.
    assert server.asked[0][1]["authorization"] == f"Bearer {KEY}"
    assert "authorization" not in server.given[0][1]
    assert server.storage_url in caplog.text
    assert "s3cret" not in caplog.text
    assert KEY not in caplog.text


def test_a_broken_connection_is_taken_up_where_it_broke(
    server: FileServer, tmp_path: Path, stored_spec: StoredSpec
) -> None:
    spec = stored_spec()
    # More breaks than attempts: what brings something new may go on.
    server.files["105"].cuts = [50_000, 40_000, 30_000, 20_000, 10_000]
    assert downloader(server, tmp_path).fetch(spec).read_bytes() == CONTENT
    ranges = [headers.get("range", "") for _, headers in server.given]
    starts = [int(one.removeprefix("bytes=").rstrip("-") or 0) for one in ranges]
    assert starts == [0, 50_000, 90_000, 120_000, 140_000, 150_000]
    assert {headers.get("if-range") for _, headers in server.given[1:]} == {'"one"'}


def test_a_part_outlives_its_process(server: FileServer, tmp_path: Path, stored_spec: StoredSpec) -> None:
    spec = stored_spec()
    server.files["105"].cuts = [120_000]
    assert refused(server, tmp_path, spec, attempts=1).transient
    steps: list[str] = []
    downloader(server, tmp_path, on_step=lambda what, *_: steps.append(what)).fetch(spec)
    assert steps[0] == "reading what is there"
    assert server.given[1][1]["range"] == "bytes=120000-"


@pytest.mark.parametrize("with_hash", [True, False])
def test_a_file_that_changed_meanwhile_starts_anew(
    server: FileServer, tmp_path: Path, stored_spec: StoredSpec, with_hash: bool
) -> None:
    spec = stored_spec(**({} if with_hash else {"sha256": None}))
    server.files["105"] = Stored(b"\x08" + b"\0" * (len(CONTENT) - 1), tag='"old"', cuts=[100_000])
    refused(server, tmp_path, spec, attempts=1)
    server.files["105"] = Stored(CONTENT, tag='"new"')
    assert downloader(server, tmp_path).fetch(spec).read_bytes() == CONTENT
    assert server.given[1][1]["if-range"] == '"old"'


def test_a_part_without_tag_is_continued_only_where_a_hash_can_tell(
    server: FileServer, tmp_path: Path, stored_spec: StoredSpec
) -> None:
    for name, fields in {"a": {"sha256": None}, "b": {}}.items():
        spec = stored_spec(**fields)
        server.files["105"] = Stored(CONTENT, tag="", cuts=[100_000])
        refused(server, tmp_path / name, spec, attempts=1)
        assert downloader(server, tmp_path / name).fetch(spec).read_bytes() == CONTENT
    assert [headers.get("range") for _, headers in server.given] == [None, None, None, "bytes=100000-"]


def test_a_part_that_does_not_belong_is_fetched_anew(
    server: FileServer, tmp_path: Path, stored_spec: StoredSpec
) -> None:
    spec = stored_spec()
    server.files["105"] = Stored(b"\x08" + b"\0" * (len(CONTENT) - 1), tag="", cuts=[100_000])
    refused(server, tmp_path, spec, attempts=1)
    server.files["105"] = Stored(CONTENT, tag="")
    assert downloader(server, tmp_path).fetch(spec).read_bytes() == CONTENT
    assert [headers.get("range") for _, headers in server.given[1:]] == ["bytes=100000-", None]


@pytest.mark.parametrize("ranges", [True, False])
def test_servers_without_ranges_and_parts_that_are_too_long(
    server: FileServer, tmp_path: Path, stored_spec: StoredSpec, ranges: bool
) -> None:
    spec = stored_spec()
    server.files["105"].cuts = [100_000]
    refused(server, tmp_path, spec, attempts=1)
    (part,) = tmp_path.rglob(".*.part")
    part.write_bytes(b"x" * (len(CONTENT) + 1))
    server.files["105"].ranges = ranges
    assert downloader(server, tmp_path).fetch(spec).read_bytes() == CONTENT


def test_a_whole_part_needs_no_request(server: FileServer, tmp_path: Path, stored_spec: StoredSpec) -> None:
    spec = stored_spec()
    server.files["105"].cuts = [100_000]
    refused(server, tmp_path, spec, attempts=1)
    (part,) = tmp_path.rglob(".*.part")
    part.write_bytes(CONTENT)
    assert downloader(server, tmp_path).fetch(spec).read_bytes() == CONTENT
    assert len(server.given) == 1


def test_what_is_not_the_promised_file(server: FileServer, tmp_path: Path, stored_spec: StoredSpec) -> None:
    wrong_hash = refused(server, tmp_path, stored_spec(sha256="AB" * 32))
    assert "SHA-256" in str(wrong_hash)
    assert "ABABABAB" in str(wrong_hash)
    wrong_size = refused(server, tmp_path, stored_spec(size_kb=150.0))
    assert f"{len(CONTENT):,}" in str(wrong_size)
    assert not wrong_hash.transient
    assert not wrong_size.transient
    assert len(server.given) == 2
    assert not list(tmp_path.rglob(".*.part"))


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (pickle.dumps({"a": list(range(2000))}), "pickle"),
        (b"PK\x03\x04" + b"x" * 5000, "zip"),
        (b"<!DOCTYPE html><html>" + b" " * 5000, "web page"),
        (b"\xff" * 5000, "no safetensors"),
        ((4000).to_bytes(8, "little") + b"{" + b"x" * 5000, "malformed"),
        (CONTENT[:-5], "truncated"),
        (b"", "truncated"),
    ],
)
@pytest.mark.parametrize("with_hash", [True, False])
def test_what_is_no_sound_weights_file(
    server: FileServer, tmp_path: Path, stored_spec: StoredSpec, content: bytes, words: str, with_hash: bool
) -> None:
    spec = stored_spec(content, **({} if with_hash else {"sha256": None}))
    assert words in str(refused(server, tmp_path, spec))
    assert len(server.given) == 1
    assert not list(tmp_path.rglob(".*.part"))


def test_a_pickle_is_stopped_at_its_first_bytes(server: FileServer, tmp_path: Path, stored_spec: StoredSpec) -> None:
    spec = stored_spec(pickle.dumps(bytes(20_000_000)))
    steps: list[tuple[str, int, int]] = []
    error = refused(server, tmp_path, spec, on_step=lambda *step: steps.append(step))
    assert "pickle" in str(error)
    assert steps == []


def test_a_file_of_unknown_length_is_not_fetched(server: FileServer, tmp_path: Path, stored_spec: StoredSpec) -> None:
    spec = stored_spec()
    server.files["105"].says_size = False
    assert "how long" in str(refused(server, tmp_path, spec))


def test_a_full_disk(server: FileServer, tmp_path: Path, stored_spec: StoredSpec) -> None:
    spec = stored_spec()
    error = refused(server, tmp_path, spec, free_space=lambda folder: SPARE + len(CONTENT) - 1)
    assert "free some space" in str(error)
    assert downloader(server, tmp_path, free_space=lambda folder: SPARE + len(CONTENT)).fetch(spec).is_file()


def test_a_disk_that_fills_up_meanwhile(server: FileServer, tmp_path: Path, stored_spec: StoredSpec) -> None:
    """The system refuses to write on: by a limit on the size of files, which a process of its own can have."""
    spec = stored_spec()
    limited = f"import resource\nresource.setrlimit(resource.RLIMIT_FSIZE, (65536, 65536))\n{SCRIPT}"
    command = [sys.executable, "-c", limited, str(tmp_path), server.url, spec.model_dump_json()]
    ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert "DownloadError" in ended.stderr
    assert "is full; free some space, what has arrived is kept" in ended.stderr
    assert [path.stat().st_size for path in tmp_path.rglob(".*.part")] == [65536]
    assert downloader(server, tmp_path).fetch(spec).read_bytes() == CONTENT
    assert server.given[1][1]["range"] == "bytes=65536-"


@pytest.mark.parametrize(
    ("reply", "status", "words"),
    [
        (data({"error": "Unauthorized", "message": "requires you to be logged in"}, 401), 401, "CIVITAI_API_KEY"),
        (html(401), 401, "CIVITAI_API_KEY"),
        (Reply(302, b"", {"Location": "/login?returnUrl=x&reason=download-auth"}), 401, "CIVITAI_API_KEY"),
        (
            data({"error": "Early Access", "deadline": "2030-01-02T03:04:05Z"}, 403),
            403,
            "early access until 2030-01-02",
        ),
        (data({"error": "Early Access", "deadline": {"<b>": KEY}}, 403), 403, "early access"),
        (data({"error": "Forbidden", "message": f"bad key {KEY}"}, 403), 403, "no access"),
        (data({"error": "File not found"}, 404), 404, "choose another model"),
        (data({"error": "archived"}, 410), 410, "archived"),
        (data({"error": "We have detected unusual amount of downloading"}, 429), 429, "quota"),
        (data({"ok": True}), None, "the server's file has 12 bytes"),
        (Reply(302, b"", {"Location": "https://evil.example/x?sig=s3cret"}), None, "https://evil.example'"),
        (Reply(302, b"", {"Location": "http://localhost:9/x"}), None, "'http://localhost'"),
        (Reply(302, b"", {"Location": "file:///etc/passwd"}), None, "not followed"),
    ],
)
def test_refusals_are_told_apart(
    server: FileServer, tmp_path: Path, stored_spec: StoredSpec, reply: Reply, status: int | None, words: str
) -> None:
    spec = stored_spec()
    server.scripted = [reply]
    error = refused(server, tmp_path, spec, api_key=KEY)
    assert error.status == status
    assert not error.transient
    assert words in str(error)
    assert KEY not in str(error)
    assert "s3cret" not in str(error)
    assert len(server.asked) == 1


@pytest.mark.parametrize(
    "reply", [data({"error": "busy"}, 429), data({}, 503), html(403), html(502), Reply(302, b"", {"Location": "http://[::1"})]
)  # fmt: skip
def test_trouble_that_passes_is_tried_again(
    server: FileServer, tmp_path: Path, stored_spec: StoredSpec, reply: Reply
) -> None:
    spec = stored_spec()
    server.scripted = [reply, reply]
    assert downloader(server, tmp_path).fetch(spec).is_file()
    assert len(server.asked) == 3
    server.scripted = [reply] * 9
    assert refused(server, tmp_path / "other", spec).transient


def test_the_server_is_waited_for_as_long_as_it_asks(
    server: FileServer, tmp_path: Path, stored_spec: StoredSpec
) -> None:
    spec = stored_spec()
    server.scripted = [data({"error": "busy"}, 429, **{"Retry-After": "0.3"})]
    started = time.monotonic()
    downloader(server, tmp_path).fetch(spec)
    assert time.monotonic() - started >= 0.3


def test_an_expired_address_is_asked_for_again(server: FileServer, tmp_path: Path, stored_spec: StoredSpec) -> None:
    spec = stored_spec()
    server.storage_scripted = [Reply(403, b"<Error>Request has expired</Error>", content_type="application/xml")]
    assert downloader(server, tmp_path).fetch(spec).is_file()
    assert len(server.asked) == 2


def test_circles_and_silence_end(server: FileServer, tmp_path: Path, stored_spec: StoredSpec) -> None:
    spec = stored_spec()
    server.location = lambda version: f"/api/download/models/{version}"
    assert "redirected more than" in str(refused(server, tmp_path, spec))
    with FileServer() as gone:
        pass
    error = refused(gone, tmp_path, spec)
    assert error.transient
    assert "127.0.0.1" in str(error)


def test_other_hosts_only_encrypted_and_by_name(server: FileServer, tmp_path: Path, stored_spec: StoredSpec) -> None:
    spec = stored_spec()
    server.location = lambda version: f"http://files.civitai.com/{version}"
    assert "not followed" in str(refused(server, tmp_path, spec, hosts=None))
    for host in ("*", "*.*", "https://civitai.com", "", "a b"):
        with pytest.raises(ConfigError, match="DIFFAGENT_DOWNLOAD_HOSTS"):
            downloader(server, tmp_path, hosts=[host])


def test_what_is_never_asked_for(server: FileServer, tmp_path: Path, stored_spec: StoredSpec) -> None:
    plain = stored_spec()
    cases = {
        "PickleTensor": stored_spec(format="PickleTensor", name="ink.ckpt"),
        "Pending": stored_spec(scan="Pending"),
        "no weights": plain.model_copy(update={"files": ()}),
        "TakenDown": plain.model_copy(update={"availability": "TakenDown"}),
        "not on Civitai": plain.model_copy(update={"model_id": 2**31}),
        "civitai:5@105": plain.model_copy(update={"family": "pocket"}),
    }
    for words, spec in cases.items():
        with pytest.raises(WeightsError, match=words):
            downloader(server, tmp_path).fetch(spec)
    assert server.asked == []


def test_what_was_taken_down_later_stays_of_use(server: FileServer, tmp_path: Path, stored_spec: StoredSpec) -> None:
    spec = stored_spec()
    fetched = downloader(server, tmp_path).fetch(spec)
    gone = spec.model_copy(update={"availability": "Deleted"})
    assert downloader(server, tmp_path).present(gone) == fetched
    assert downloader(server, tmp_path).fetch(gone) == fetched
    fetched.unlink()
    with pytest.raises(WeightsError, match="no more on Civitai"):
        downloader(server, tmp_path).fetch(gone)
    assert len(server.asked) == 1


def test_a_record_with_an_address_that_is_none(server: FileServer, tmp_path: Path, stored_spec: StoredSpec) -> None:
    spec = stored_spec(id=0, download_url="https://civitai.com:80x/api/download/models/105")
    with pytest.raises(DownloadError, match=r"civitai:5@105: the address in its record, 'https://civitai.com:80x"):
        downloader(server, tmp_path).fetch(spec)


def test_threads_and_a_damaged_file(server: FileServer, tmp_path: Path, stored_spec: StoredSpec) -> None:
    spec = stored_spec()
    server.files["105"].pause = 0.001
    steps: list[str] = []
    ours = downloader(server, tmp_path, on_step=lambda what, *_: steps.append(what))
    with ThreadPoolExecutor(4) as threads:
        paths = {job.result() for job in [threads.submit(ours.fetch, spec) for _ in range(4)]}
    (path,) = paths
    assert len(server.given) == 1
    assert "waiting for another download of it" in steps
    path.write_bytes(CONTENT[:1000])
    assert ours.fetch(spec).read_bytes() == CONTENT
    assert len(server.given) == 2


def test_two_processes_at_once(server: FileServer, tmp_path: Path, stored_spec: StoredSpec) -> None:
    spec = stored_spec()
    server.files["105"].pause = 0.01
    command = [sys.executable, "-c", SCRIPT, str(tmp_path), server.url, spec.model_dump_json()]
    processes = [subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    printed = {process.communicate(timeout=60)[0] for process in processes}
    assert [process.returncode for process in processes] == [0, 0]
    (path,) = printed
    assert Path(path.strip()).read_bytes() == CONTENT
    assert len(server.given) == 1


@pytest.mark.parametrize("blow", [signal.SIGKILL, signal.SIGINT])
def test_killed_in_mid_body_then_resumed(
    server: FileServer, tmp_path: Path, stored_spec: StoredSpec, blow: signal.Signals
) -> None:
    spec = stored_spec()
    server.files["105"].pause = 0.02
    command = [sys.executable, "-c", SCRIPT, str(tmp_path), server.url, spec.model_dump_json()]
    process = subprocess.Popen(command, cwd=ROOT, stderr=subprocess.DEVNULL)
    try:
        deadline = time.monotonic() + 60
        while not any(path.stat().st_size > 20_000 for path in tmp_path.rglob(".*.part")):
            assert time.monotonic() < deadline
            time.sleep(0.01)
        assert names_in(tmp_path) == []
    finally:
        process.send_signal(blow)
        process.wait(30)
    server.files["105"].pause = 0
    arrived = next(tmp_path.rglob(".*.part")).stat().st_size
    assert names_in(tmp_path) == []
    assert 20_000 < arrived < len(CONTENT)
    assert downloader(server, tmp_path).fetch(spec).read_bytes() == CONTENT
    assert server.given[-1][1]["range"] == f"bytes={arrived}-"


def test_a_folder_that_cannot_be_written_to(server: FileServer, tmp_path: Path, stored_spec: StoredSpec) -> None:
    spec = stored_spec()
    (tmp_path / "file").write_text("x")
    with pytest.raises(ConfigError, match="cannot write"):
        downloader(server, tmp_path / "file").fetch(spec)
    assert server.asked == []


def test_a_listener_that_raises_ends_the_download_and_keeps_the_part(
    server: FileServer, tmp_path: Path, stored_spec: StoredSpec
) -> None:
    spec = stored_spec()

    def stop(what: str, done: int, end: int) -> None:
        if done > 50_000:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        downloader(server, tmp_path, on_step=stop).fetch(spec)
    assert names_in(tmp_path) == []
    # Its lock went with it.
    done = threading.Thread(target=downloader(server, tmp_path).fetch, args=[spec], daemon=True)
    done.start()
    done.join(20)
    assert names_in(tmp_path) == ["ink.safetensors"]
    assert int(server.given[1][1]["range"].removeprefix("bytes=").rstrip("-")) > 50_000


def test_defaults_come_from_the_environment(
    server: FileServer, tmp_path: Path, stored_spec: StoredSpec, monkeypatch: pytest.MonkeyPatch
) -> None:
    spec = stored_spec()
    for name, value in {
        "DIFFAGENT_HOME": os.fspath(tmp_path),
        "CIVITAI_API_URL": server.url,
        "CIVITAI_API_KEY": KEY,
        "DIFFAGENT_DOWNLOAD_HOSTS": "*.example.org,127.0.0.1",
    }.items():
        monkeypatch.setenv(name, value)
    assert Downloader().fetch(spec).is_relative_to(tmp_path / "models")
    assert server.asked[0][1]["authorization"] == f"Bearer {KEY}"
    monkeypatch.delenv("DIFFAGENT_DOWNLOAD_HOSTS")
    with pytest.raises(DownloadError, match="not followed"):
        Downloader(tmp_path / "other").fetch(spec)
