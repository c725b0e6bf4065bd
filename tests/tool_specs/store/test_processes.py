"""Several processes at one catalog, and processes that are killed."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from tests.tool_specs.store.processes import PAGE, start
from tool_specs.store.database import CatalogDatabase


def test_readers_never_see_half_a_transaction(tmp_path: Path) -> None:
    CatalogDatabase.open(tmp_path).close()
    writer = start("write", tmp_path)
    assert writer.stdout is not None
    assert writer.stdout.readline() == "1\n"
    readers = [start("read", tmp_path) for _ in range(2)]
    try:
        for reader in readers:
            said, _ = reader.communicate(timeout=60)
            assert reader.returncode == 0
            assert int(said) > 1, "the reader saw the writer at work"
    finally:
        writer.kill()
        writer.communicate()


@pytest.mark.parametrize("after", [0.05, 0.1, 0.2, 0.35, 0.5])
def test_a_kill_loses_nothing_that_was_acknowledged(tmp_path: Path, after: float) -> None:
    writer = start("write", tmp_path)
    assert writer.stdout is not None
    acknowledged = [writer.stdout.readline()]
    time.sleep(after)
    writer.kill()
    acknowledged += writer.communicate()[0].splitlines()
    last = int([line for line in acknowledged if line.strip()][-1])
    with CatalogDatabase.open(tmp_path) as database:
        page = database.note("page")
        assert page in (last, last + 1)
        assert database.count().specs == PAGE * page + PAGE - 1
        assert {spec.version_name for spec in database.specs(["civitai:1@101", "civitai:6@106"]).values()} == {
            str(page)
        }
        assert len(list(database.spec_changes(0, database.version))) == database.count().specs
        with database.transaction() as writing:
            writing.put_note("page", 0)


def test_processes_may_make_the_catalog_together(tmp_path: Path) -> None:
    makers = [start("make", tmp_path / "new" / "catalog") for _ in range(4)]
    assert [maker.wait(60) for maker in makers] == [0, 0, 0, 0]
    for maker in makers:
        maker.communicate()
    with CatalogDatabase.open(tmp_path / "new" / "catalog", read_only=True) as database:
        assert database.count().specs == 4 * PAGE
