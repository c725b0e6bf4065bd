from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest
from safetensors.numpy import load_file, save_file

from tests.civitai_server import CivitaiServer, data
from tests.tool_specs.importing.conftest import model, side, version, write_checkpoint, write_lines, write_lora
from tool_specs.civitai.client import CivitaiClient
from tool_specs.importing import PathSummary, import_paths
from tool_specs.naming import local_id, spec_id
from tool_specs.store.database import CatalogDatabase

ROOT = Path(__file__).parents[3]


def own_id(sha256: str) -> str:
    return spec_id(local_id(sha256), local_id(sha256))


def take(database: CatalogDatabase, path: Path, client: CivitaiClient | None = None) -> PathSummary:
    (summary,) = import_paths(database, [path], client=client).paths
    assert summary.read == summary.stored + summary.set_aside
    return summary


def links(database: CatalogDatabase) -> dict[str, str]:
    return {Path(file.path).name: file.spec_id for file in database.local_files()}


@pytest.fixture
def library(tmp_path: Path) -> Path:
    folder = tmp_path / "models"
    write_checkpoint(folder / "Stable-diffusion" / "dream.safetensors")
    write_lora(folder / "Lora" / "ink.safetensors")
    return folder


def test_files_become_specs_and_are_found_by_them(database: CatalogDatabase, library: Path) -> None:
    summary = take(database, library)
    assert (summary.read, summary.counts.added, summary.linked) == (2, 2, 0)
    assert {spec.model_name: spec.type for spec in database.all_specs()} == {"dream": "Checkpoint", "ink": "LORA"}
    for file in database.local_files():
        spec = database.spec(file.spec_id)
        assert spec is not None
        assert spec.files[0].sha256 == hashlib.sha256(Path(file.path).read_bytes()).hexdigest().upper()


def test_the_same_again_changes_and_hashes_nothing(database: CatalogDatabase, library: Path) -> None:
    take(database, library)
    before = database.version
    hashed: list[str] = []
    summary = import_paths(database, [library], on_step=lambda what, *_: hashed.append(what)).paths[0]
    assert (summary.counts.unchanged, summary.counts.changed, summary.counts.added) == (2, 0, 0)
    assert "hashing" not in hashed
    assert database.version == before


def test_a_file_that_changed_is_another_one(database: CatalogDatabase, library: Path) -> None:
    take(database, library)
    old = links(database)["ink.safetensors"]
    write_lora(library / "Lora" / "ink.safetensors", fill=0.5)
    summary = take(database, library)
    assert summary.forgotten == 0
    assert links(database)["ink.safetensors"] != old
    assert database.spec(old) is None
    assert database.count().specs == 2


def test_a_file_that_is_gone_is_forgotten(database: CatalogDatabase, library: Path) -> None:
    take(database, library)
    copy = library / "Lora" / "copy.safetensors"
    shutil.copyfile(library / "Lora" / "ink.safetensors", copy)
    summary = take(database, library)
    assert (summary.read, summary.linked, summary.set_aside) == (3, 1, 0)
    spec = links(database)["ink.safetensors"]
    (library / "Lora" / "ink.safetensors").unlink()
    assert take(database, library).forgotten == 1
    assert database.spec(spec) is not None
    copy.unlink()
    assert take(database, library).forgotten == 1
    assert database.spec(spec) is None
    assert database.spec(links(database)["dream.safetensors"]) is not None


def test_other_folders_are_left_alone(database: CatalogDatabase, library: Path) -> None:
    take(database, library)
    shutil.rmtree(library / "Stable-diffusion")
    assert take(database, library / "Lora").forgotten == 0
    assert len(database.local_files()) == 2
    assert take(database, library / "Lora" / "ink.safetensors").forgotten == 0
    assert len(database.local_files()) == 2


def test_a_file_that_the_catalog_knows_is_linked(database: CatalogDatabase, library: Path, tmp_path: Path) -> None:
    sha256 = write_lora(library / "Lora" / "ink.safetensors", fill=0.1)
    dump = write_lines(tmp_path / "dump.jsonl", [model(4, version(41, sha256=sha256))])
    take(database, dump)
    summary = take(database, library)
    assert (summary.linked, summary.counts.added) == (1, 1)
    assert links(database)["ink.safetensors"] == "civitai:4@41"
    assert database.spec(own_id(sha256)) is None


def test_a_file_that_becomes_known_is_linked_then_with_its_copies(
    database: CatalogDatabase, library: Path, tmp_path: Path
) -> None:
    sha256 = write_lora(library / "Lora" / "ink.safetensors", fill=0.1)
    write_lora(tmp_path / "elsewhere" / "same.safetensors", fill=0.1)
    take(database, library)
    take(database, tmp_path / "elsewhere")
    assert database.spec(own_id(sha256)) is not None
    take(database, write_lines(tmp_path / "dump.jsonl", [model(4, version(41, sha256=sha256))]))
    take(database, library)
    assert links(database)["ink.safetensors"] == links(database)["same.safetensors"] == "civitai:4@41"
    assert database.spec(own_id(sha256)) is None


def test_a_link_lasts_as_long_as_the_model_holds_the_file(
    database: CatalogDatabase, library: Path, tmp_path: Path
) -> None:
    sha256 = write_lora(library / "Lora" / "ink.safetensors", fill=0.1)
    dump = tmp_path / "dump.jsonl"
    take(database, write_lines(dump, [model(4, version(41, sha256=sha256)), model(5, version(51, sha256=sha256))]))
    for _ in range(2):
        take(database, library / "Lora")
        assert links(database)["ink.safetensors"] == "civitai:4@41"
    take(database, write_lines(dump, [model(4, version(41))]))
    take(database, library / "Lora")
    assert links(database)["ink.safetensors"] == "civitai:5@51"
    with database.transaction() as writing:
        writing.remove(["civitai:5@51"])
    take(database, library / "Lora")
    assert links(database)["ink.safetensors"] == own_id(sha256)


def test_a_side_file_names_the_model(database: CatalogDatabase, library: Path) -> None:
    sha256 = write_lora(library / "Lora" / "ink.safetensors", fill=0.1)
    (library / "Lora" / "ink.civitai.info").write_text(json.dumps(side(4, 41, sha256=sha256), indent=4))
    summary = take(database, library)
    assert (summary.read, summary.counts.added, summary.linked) == (3, 2, 1)
    spec = database.spec(links(database)["ink.safetensors"])
    assert spec is not None
    assert (spec.id, spec.trigger_words) == ("civitai:4@41", ("inkfox",))


def test_a_side_file_of_another_file_names_nothing(database: CatalogDatabase, library: Path) -> None:
    (library / "Lora" / "ink.civitai.info").write_text(json.dumps(side(4, 41, sha256="AB" * 32)))
    take(database, library)
    assert links(database)["ink.safetensors"].startswith("local:")


def test_a_side_file_that_forbids_the_model(database: CatalogDatabase, library: Path) -> None:
    sha256 = write_lora(library / "Lora" / "ink.safetensors", fill=0.1)
    take(database, library)
    (library / "Lora" / "ink.civitai.info").write_text(json.dumps(side(4, 41, sha256=sha256, poi=True)))
    for _ in range(2):
        summary = take(database, library)
        assert summary.reasons == {"it shows a real person": 2}
        assert database.spec(own_id(sha256)) is None
        assert links(database)["ink.safetensors"] == ""


def test_what_a_person_wrote_in_a1111(database: CatalogDatabase, library: Path) -> None:
    hints = {"description": "Mine.", "sd version": "SD1", "activation text": "inkfox", "preferred weight": 0.7}
    (library / "Lora" / "ink.json").write_text(json.dumps(hints))
    summary = take(database, library)
    assert (summary.read, summary.ignored) == (2, 1)
    spec = database.spec(links(database)["ink.safetensors"])
    assert spec is not None
    assert (spec.trigger_words, spec.description) == (("inkfox",), "Mine.")


def test_broken_and_foreign_files_are_set_aside(database: CatalogDatabase, library: Path) -> None:
    whole = (library / "Lora" / "ink.safetensors").read_bytes()
    (library / "Lora" / "cut.safetensors").write_bytes(whole[:-10])
    (library / "Lora" / "page.safetensors").write_bytes(b"<html>login</html>")
    (library / "Lora" / "empty.safetensors").write_bytes(b"")
    (library / "Lora" / "old.ckpt").write_bytes(b"\x80\x02")
    odd = Path(os.fsdecode(os.fsencode(library) + b"/odd\xff.safetensors"))
    shutil.copyfile(library / "Lora" / "ink.safetensors", odd)
    summary = take(database, library)

    assert (summary.read, summary.set_aside, summary.linked + summary.counts.added) == (7, 4, 3)
    assert len(summary.reasons) == 4
    assert not [reason for reason in summary.reasons if str(library) in reason]
    assert odd.name in links(database)


def test_trainers_write_other_metadata_into_the_same_tensors(database: CatalogDatabase, library: Path) -> None:
    path = library / "Lora" / "ink.safetensors"
    save_file(load_file(path), library / "Lora" / "edited.safetensors", metadata={"ss_output_name": "other"})
    assert take(database, library).counts.added == 3


def test_an_interrupted_import_hashes_nothing_twice(tmp_path: Path) -> None:
    library = tmp_path / "models"
    for number in range(400):
        write_lora(library / f"ink{number:03}.safetensors", width=768 * 8, fill=number / 7)
    home = tmp_path / "home"
    command = [sys.executable, "-m", "graphs.cli.main", "import", str(library)]
    process = subprocess.Popen(command, cwd=ROOT, env={**os.environ, "DIFFAGENT_HOME": str(home)})
    while process.poll() is None and not (home / "catalog" / "catalog.sqlite").exists():
        time.sleep(0.01)
    with CatalogDatabase.open(home / "catalog") as database:
        while process.poll() is None and len(database.local_files()) < 20:
            time.sleep(0.002)
        process.kill()
        process.wait()
        before = {file.path for file in database.local_files()}
        again = {path for path in before if os.utime(path, ns=(0, Path(path).stat().st_mtime_ns)) is None}
        assert len(before) >= 20
        done: list[tuple[int, int]] = []
        (summary,) = import_paths(database, [library], on_step=lambda _, n, end: done.append((n, end))).paths
        assert summary.counts.added == 400
        assert len({n for n, _ in done}) <= 400 - len(again) + 1


@pytest.fixture
def civitai(library: Path) -> CivitaiServer:
    sha256 = write_lora(library / "Lora" / "ink.safetensors", fill=0.1)
    server = CivitaiServer([model(4, version(41, sha256=sha256), version(42), description="Draws in ink.")])
    server.by_hash[sha256] = [side(4, 41, sha256=sha256)]
    return server


def asking(server: CivitaiServer) -> CivitaiClient:
    return CivitaiClient(server.url, api_key="", interval=0.0, attempts=2, backoff=0.001, timeout=5.0)


def test_civitai_is_asked_for_what_nobody_knows(
    database: CatalogDatabase, library: Path, civitai: CivitaiServer
) -> None:
    with civitai:
        summary = take(database, library, asking(civitai))
        assert (summary.read, summary.linked, summary.counts.added, summary.problem) == (2, 1, 1, "")
        spec = database.spec(links(database)["ink.safetensors"])
        assert spec is not None
        assert (spec.id, spec.description, spec.tags) == ("civitai:4@41", "Draws in ink.", ("ink",))
        assert database.count().specs == 2
        asked = len(civitai.seen)
        take(database, library, asking(civitai))
        assert asked == 2
        assert len(civitai.seen) == asked + 1


def test_one_client_serves_several_libraries(database: CatalogDatabase, library: Path, civitai: CivitaiServer) -> None:
    with civitai:
        paths = [library / "Stable-diffusion", library / "Lora"]
        summary = import_paths(database, paths, client=asking(civitai))
    assert [(one.linked, one.counts.added, one.problem) for one in summary.paths] == [(0, 1, ""), (1, 0, "")]


def test_civitai_completes_what_was_imported_without_it(
    database: CatalogDatabase, library: Path, civitai: CivitaiServer
) -> None:
    take(database, library)
    own = links(database)["ink.safetensors"]
    with civitai:
        take(database, library, asking(civitai))
    assert links(database)["ink.safetensors"] == "civitai:4@41"
    assert database.spec(own) is None


def test_a_model_that_cannot_be_had_is_read_from_its_version(
    database: CatalogDatabase, library: Path, civitai: CivitaiServer
) -> None:
    civitai.models.clear()
    with civitai:
        assert take(database, library, asking(civitai)).problem == ""
    spec = database.spec(links(database)["ink.safetensors"])
    assert spec is not None
    assert (spec.id, spec.tags) == ("civitai:4@41", ())


def test_a_model_that_may_not_be_used_is_refused(
    database: CatalogDatabase, library: Path, civitai: CivitaiServer
) -> None:
    civitai.models[4]["poi"] = True
    with civitai:
        assert take(database, library, asking(civitai)).reasons == {"it shows a real person": 1}
    assert links(database)["ink.safetensors"] == ""


@pytest.mark.parametrize("answered", [0, 1])
def test_without_network_the_files_speak_for_themselves(
    database: CatalogDatabase, library: Path, civitai: CivitaiServer, answered: int
) -> None:
    sha256 = hashlib.sha256((library / "Lora" / "ink.safetensors").read_bytes()).hexdigest().upper()
    with civitai:
        civitai.scripted = [data([side(4, 41, sha256=sha256)])] * answered + [data({"error": "down"}, 503)] * 10
        summary = take(database, library, asking(civitai))
    assert "look-up" in summary.problem
    assert summary.read == 2
    assert links(database)["ink.safetensors"].startswith(("local:", "civitai:4@41")[answered])
