from __future__ import annotations

import asyncio
import random
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.civitai_models import NOW, Record, plain_model, seeded_models
from tests.civitai_server import CivitaiServer, Reply, data, html
from tests.tool_specs.syncing.sync_process import FILTERS
from tool_specs.civitai import specs_of
from tool_specs.civitai.client import CivitaiClient
from tool_specs.exceptions import CatalogError, CivitaiError, RequestError
from tool_specs.spec import GONE, ToolSpec
from tool_specs.store.database import CatalogDatabase
from tool_specs.syncing import SyncFilters, SyncProgress, SyncSummary, Tally, sync
from tool_specs.syncing.run import MAX_FRUITLESS_PAGES

ROOT = Path(__file__).parents[3]
DAY = timedelta(days=1)


@pytest.fixture
def database(tmp_path: Path) -> Iterator[CatalogDatabase]:
    with CatalogDatabase.open(tmp_path / "catalog") as opened:
        yield opened


async def synced(
    database: CatalogDatabase, server: CivitaiServer, filters: SyncFilters = FILTERS, **options: Any
) -> SyncSummary:
    async with CivitaiClient(server.url, api_key="", interval=0, backoff=0.001, timeout=5) as client:
        summary = await sync(database, client, filters, **options)
    assert_adds_up(summary.tally)
    return summary


def assert_adds_up(tally: Tally) -> None:
    assert tally.read == tally.stored + tally.set_aside


def expected(records: list[Record]) -> tuple[set[str], int]:
    """Ids of the specs that records hold, and how many of their versions are set aside."""
    readings = [specs_of(record) for record in records]
    return {spec.id for one in readings for spec in one.specs}, sum(len(one.set_aside) for one in readings)


def all_specs(database: CatalogDatabase) -> list[ToolSpec]:
    return [change.spec for change in database.spec_changes(0, database.version) if change.spec]


def stored(database: CatalogDatabase) -> set[str]:
    return {spec.id for spec in all_specs(database)}


def names_of_notes(database: CatalogDatabase) -> list[Any]:
    """What syncs have left in the catalog beside specs; not part of the store's interface."""
    with sqlite3.connect(database.path) as connection:
        return [row[0].split("/")[2] for row in connection.execute("SELECT key FROM notes WHERE key LIKE 'sync/%'")]


def plain_models(count: int, *, days: float = 1) -> list[Record]:
    """The first is the newest."""
    return [plain_model(number, at=NOW - (number - 1) * days * DAY) for number in range(1, count + 1)]


async def test_everything_is_stored_or_set_aside(database: CatalogDatabase) -> None:
    records = seeded_models(400, seed=1)
    ids, set_aside = expected(records)
    with CivitaiServer(records, page_size=7) as server:
        summary = await synced(database, server)
    assert summary.outcome == "complete"
    assert (summary.full, summary.resumed) == (True, False)
    assert stored(database) == ids
    tally = summary.tally
    assert (tally.added, tally.changed, tally.set_aside, tally.filtered) == (len(ids), 0, set_aside, 0)
    assert (tally.pages, tally.models, tally.repeated, tally.gone) == (58, 400, 0, 0)
    assert database.count().set_aside == set_aside
    assert names_of_notes(database) == ["last"]


@pytest.mark.parametrize("seed", range(4))
async def test_through_all_faults_the_result_is_the_same(database: CatalogDatabase, seed: int) -> None:
    records = seeded_models(600, seed=seed)
    ids, set_aside = expected(records)
    with CivitaiServer(records, page_size=2, fault_rate=0.3, seed=seed) as server:
        summary = await synced(database, server)
    assert sum(server.faults.values()) > 60
    assert stored(database) == ids
    assert summary.tally == Tally(pages=300, models=600, read=len(ids) + set_aside, added=len(ids), set_aside=set_aside)


async def test_a_second_run_asks_only_for_what_is_new(database: CatalogDatabase) -> None:
    with CivitaiServer(plain_models(300), page_size=3) as server:
        await synced(database, server)
        assert len(server.listings) == 100
        again = await synced(database, server)
        assert (again.full, again.outcome) == (False, "complete")
        # The newest of the first run, three days of overlap, and the page that shows that there is no more.
        assert len(server.listings) == 100 + 3
        assert again.tally.stored == again.tally.unchanged
        before = database.version

        changed = plain_model(200, at=NOW + DAY, name="Another name")
        server.put(*(plain_model(number, at=NOW + DAY) for number in range(1001, 1005)), changed)
        news = await synced(database, server)
        assert (news.tally.added, news.tally.changed) == (4, 1)
        assert len(server.listings) <= 103 + 4
        assert database.version > before
        found = database.spec("civitai:200@2000")
        assert found is not None
        assert found.model_name == "Another name"

        full = await synced(database, server, full=True)
        assert full.tally.models == 304
        assert full.tally.unchanged == 304


async def test_other_filters_are_another_sync(database: CatalogDatabase) -> None:
    with CivitaiServer(plain_models(9), page_size=3) as server:
        await synced(database, server)
        other = await synced(database, server, SyncFilters())
        assert other.full
        assert other.tally.unchanged == 9


async def test_dates_that_lie_ahead_do_not_hide_what_is_new(database: CatalogDatabase) -> None:
    pinned = plain_model(900, at=NOW.replace(year=2999))
    with CivitaiServer([pinned, *plain_models(30)], page_size=3) as server:
        await synced(database, server)
        server.put(plain_model(1000, at=NOW + DAY))
        news = await synced(database, server)
        assert news.tally.added == 1


async def test_without_dates_every_run_reads_everything(database: CatalogDatabase) -> None:
    records = plain_models(12)
    for record in records:
        del record["modelVersions"][0]["publishedAt"]
    with CivitaiServer(records, page_size=3) as server:
        assert (await synced(database, server)).tally.added == 12
        server.put(plain_model(50))
        again = await synced(database, server)
        assert (again.full, again.tally.models) == (True, 13)


async def test_the_limit_is_kept_and_the_next_run_goes_on(database: CatalogDatabase) -> None:
    with CivitaiServer(plain_models(25), page_size=4) as server:
        runs = [await synced(database, server, limit=10) for _ in range(3)]
        assert [run.tally.models for run in runs] == [10, 20, 25]
        assert [run.outcome for run in runs] == ["limited", "limited", "complete"]
        assert [run.resumed for run in runs] == [False, True, True]
        assert sum(int(query["limit"][0]) == 2 for query in server.listings) == 2
    assert len(stored(database)) == 25


async def test_filters_reach_civitai_and_the_catalog(database: CatalogDatabase) -> None:
    mature = plain_model(3, name="Bikini")
    hidden = plain_model(4, stats={"downloadCount": None})
    others = plain_model(5, type="Checkpoint"), plain_model(6, nsfw=True), plain_model(7, stats=None)
    with CivitaiServer(
        [plain_model(1, stats={"downloadCount": "100"}), plain_model(2), mature, hidden, *others]
    ) as server:
        filters = SyncFilters(types=("lora",), base_models=("sd 1.5",), period="Month", min_downloads=3)
        summary = await synced(database, server, filters)
    (query,) = server.listings
    assert query == {
        "limit": ["100"],
        "sort": ["Newest"],
        "period": ["Month"],
        "types": ["LORA"],
        "baseModels": ["SD 1.5"],
    }
    assert stored(database) == {"civitai:1@10"}
    assert (summary.tally.read, summary.tally.filtered, summary.tally.models) == (1, 4, 5)


@pytest.mark.parametrize(("rating", "count"), [("safe", 1), ("mature", 2), ("explicit", 3)])
async def test_ratings(database: CatalogDatabase, rating: Any, count: int) -> None:
    models = [plain_model(1), plain_model(2, tags=["bikini"]), plain_model(3, nsfw=True)]
    with CivitaiServer(models) as server:
        await synced(database, server, SyncFilters(rating=rating))
        assert server.listings[0].get("nsfw") == (None if rating == "safe" else ["true"])
    assert len(stored(database)) == count


@pytest.mark.parametrize(
    ("filters", "near"),
    [
        (SyncFilters(types=("LORAS",)), "LORA"),
        (SyncFilters(base_models=("SD1.5",)), "SD 1.5"),
        (SyncFilters(base_models=("Pony,SD 1.5",)), "Pony"),
    ],
)
async def test_a_name_that_civitai_does_not_know_is_refused(
    database: CatalogDatabase, filters: SyncFilters, near: str
) -> None:
    with CivitaiServer(plain_models(2)) as server:
        with pytest.raises(RequestError, match=near):
            await synced(database, server, filters)
        assert server.listings == []


@pytest.mark.parametrize("answer", [data({"error": "not found"}, 404), data({}), data({"BaseModel": None})])
async def test_without_a_list_of_names_they_are_taken_as_they_are(database: CatalogDatabase, answer: Reply) -> None:
    with CivitaiServer(plain_models(2)) as server:
        server.scripted = [answer]
        assert (await synced(database, server, SyncFilters(base_models=("SD 1.5",)))).tally.added == 2


async def test_what_is_rated_otherwise_now_is_updated_and_not_kept_as_it_was(database: CatalogDatabase) -> None:
    with CivitaiServer([plain_model(1), plain_model(2)]) as server:
        await synced(database, server, SyncFilters())
        server.put(plain_model(1, tags=["nude"]))
        await synced(database, server, SyncFilters(), full=True)
    found = database.specs(["civitai:1@10", "civitai:2@20"])
    assert [spec.content_rating for spec in found.values()] == ["explicit", "safe"]


async def test_models_that_vanish_are_kept_but_not_offered(database: CatalogDatabase) -> None:
    with CivitaiServer(plain_models(60), page_size=5) as server:
        await synced(database, server)
        server.drop(2, 50)
        server.hide(3)
        server.put(plain_model(1, at=NOW, mode="Archived"))
        news = await synced(database, server)
        # Model 50 is older than what this run reads again; 3 is missing from the list but still there.
        assert (news.tally.checked, news.tally.gone) == (2, 1)
        full = await synced(database, server, full=True)
        assert (full.tally.checked, full.tally.gone) == (2, 1)
        again = await synced(database, server, full=True)
        assert (again.tally.checked, again.tally.gone) == (1, 0)
        server.put(plain_model(2, at=NOW + DAY))
        await synced(database, server)
    found = {number: database.spec(f"civitai:{number}@{number}0") for number in (1, 2, 3, 50)}
    assert {number: spec and spec.availability for number, spec in found.items()} == {
        1: "Archived", 2: "Public", 3: "Public", 50: "Deleted",
    }  # fmt: skip


async def test_versions_that_vanish_and_people_who_want_out(database: CatalogDatabase) -> None:
    two = plain_model(1)
    two["modelVersions"].append({**two["modelVersions"][0], "id": 11})
    short = {**two, "modelVersions": two["modelVersions"][:1]}
    with CivitaiServer([two, plain_model(2), plain_model(3)]) as server:
        await synced(database, server)
        server.put(short, plain_model(2, poi=True), plain_model(3, type="Poses"))
        summary = await synced(database, server, full=True)
    assert (summary.tally.checked, summary.tally.gone) == (3, 3)
    assert stored(database) == {"civitai:1@10", "civitai:1@11", "civitai:3@30"}
    assert {spec.id for spec in all_specs(database) if spec.availability in GONE} == {
        "civitai:1@11", "civitai:3@30",
    }  # fmt: skip


async def test_a_version_of_another_base_model_is_no_suspect(database: CatalogDatabase) -> None:
    record = plain_model(1)
    record["modelVersions"].append({**record["modelVersions"][0], "id": 11, "baseModel": "Pony"})
    with CivitaiServer([record]) as server:
        await synced(database, server)
        server.put({**record, "modelVersions": record["modelVersions"][:1]})
        summary = await synced(database, server, SyncFilters(base_models=("SD 1.5",)))
    assert summary.tally.checked == 0


async def test_a_model_that_cannot_be_asked_for_stays_as_it_is(database: CatalogDatabase) -> None:
    with CivitaiServer(plain_models(3)) as server:
        await synced(database, server)
        server.hide(2)
        server.after = lambda count: (
            server.scripted.append(data({"error": "no access"}, 403)) if server.seen[-1][0].endswith("/2") else None
        )
        summary = await synced(database, server, full=True)
    assert (summary.tally.checked, summary.tally.gone) == (1, 0)
    found = database.spec("civitai:2@20")
    assert found is not None
    assert found.availability == "Public"


def listing(items: list[Record], cursor: str | None) -> Reply:
    return data({"items": items, "metadata": {"nextCursor": cursor}})


async def test_pages_that_are_empty_short_or_repeat_models(database: CatalogDatabase) -> None:
    one, two, three = (plain_model(number) for number in (1, 2, 3))
    with CivitaiServer() as server:
        server.scripted = [
            listing([], "a"), listing([one, one], "b"), listing([], "c"), listing([one, two], "d"),
            listing([{}, {}], "e"), listing([three], None),
        ]  # fmt: skip
        summary = await synced(database, server)
    assert summary.outcome == "complete"
    tally = summary.tally
    assert (tally.pages, tally.models, tally.repeated, tally.added, tally.set_aside) == (6, 5, 2, 3, 2)


@pytest.mark.parametrize("cursors", [["a"], ["a", "b"], ["a", "b", "c"]])
async def test_cursors_that_go_in_circles_end_the_run(database: CatalogDatabase, cursors: list[str]) -> None:
    with CivitaiServer() as server:
        server.scripted = [
            listing([plain_model(number + 1)], cursors[number % len(cursors)]) for number in range(2 * len(cursors) + 2)
        ]
        summary = await synced(database, server)
        assert summary.outcome == "circular"
        assert len(server.seen) == len(cursors) + 1
        assert len(stored(database)) == len(cursors) + 1
        server.scripted = [listing([plain_model(9)], None)]
        after = await synced(database, server)
        assert "cursor" not in server.listings[-1]
        assert (after.outcome, after.full, after.resumed) == ("complete", True, False)


async def test_a_list_that_never_ends_is_left(database: CatalogDatabase) -> None:
    with CivitaiServer() as server:
        server.scripted = [listing([plain_model(1)], str(number)) for number in range(200)]
        summary = await synced(database, server)
        assert summary.outcome == "circular"
        assert len(server.seen) <= MAX_FRUITLESS_PAGES + 2


async def test_an_interrupted_run_goes_on_where_it_stopped(database: CatalogDatabase) -> None:
    records = seeded_models(60, seed=3)
    ids, set_aside = expected(records)
    with CivitaiServer(records, page_size=3) as server:
        server.after = lambda count: server.scripted.append(data({"error": "no"}, 403)) if count == 9 else None
        with pytest.raises(CivitaiError, match="403"):
            await synced(database, server)
        asked = len(server.listings)
        summary = await synced(database, server)
        assert summary.resumed
        assert len(server.listings) - asked == 20 - 8
    assert stored(database) == ids
    assert summary.tally == Tally(pages=20, models=60, read=len(ids) + set_aside, added=len(ids), set_aside=set_aside)


async def test_checking_goes_on_where_it_stopped(database: CatalogDatabase) -> None:
    with CivitaiServer(plain_models(90, days=0.01)) as server:
        await synced(database, server)
        server.drop(*range(11, 81))
        before = len(server.seen)
        server.after = lambda count: server.scripted.extend([html(502)] * 500) if count == before + 50 else None
        with pytest.raises(CivitaiError, match="502"):
            await synced(database, server)
        server.scripted.clear()
        assert sum(spec.availability == "Deleted" for spec in all_specs(database)) in (30, 40)
        summary = await synced(database, server)
    assert (summary.tally.checked, summary.tally.gone, summary.tally.pages) == (70, 70, 1)


async def test_an_old_cursor_that_is_refused_starts_the_run_anew(database: CatalogDatabase) -> None:
    with CivitaiServer(plain_models(20), page_size=4) as server:
        await synced(database, server, limit=8)
        server.scripted = [data({"error": "Invalid cursor"}, 400)]
        summary = await synced(database, server)
    assert (summary.outcome, summary.tally.models, summary.tally.unchanged) == ("complete", 20, 8)


async def test_full_gives_up_a_run_that_reads_only_news(database: CatalogDatabase) -> None:
    with CivitaiServer(plain_models(30), page_size=2) as server:
        await synced(database, server)
        await synced(database, server, limit=2)
        full = await synced(database, server, full=True, limit=10)
        assert (full.full, full.resumed) == (True, False)
        rest = await synced(database, server, full=True)
        assert (rest.full, rest.resumed, rest.tally.models) == (True, True, 30)
    assert names_of_notes(database) == ["last"]


async def test_notes_that_cannot_be_read_are_no_obstacle(database: CatalogDatabase) -> None:
    with CivitaiServer(plain_models(8), page_size=2) as server:
        await synced(database, server, limit=4)
        key = f"sync/{FILTERS.key(server.url)}"
        for name in ("checkpoint", "last"):
            with database.transaction() as writing:
                writing.put_note(f"{key}/{name}", {"from": "another release"})
        assert (await synced(database, server)).tally.models == 8


async def test_two_at_once_notice_each_other(database: CatalogDatabase, tmp_path: Path) -> None:
    with CivitaiServer(plain_models(200), page_size=2) as server:
        server.scripted = [Reply(503, b"{}", seconds=0.05)] * 2
        results = await asyncio.gather(*(synced(database, server) for _ in range(2)), return_exceptions=True)
    assert sum(isinstance(one, CatalogError) and "another sync" in str(one) for one in results) == 1
    assert [one.outcome for one in results if isinstance(one, SyncSummary)] == ["complete"]
    assert len(stored(database)) == 200


async def test_a_page_is_in_the_catalog_whole_or_not_at_all(database: CatalogDatabase) -> None:
    with CivitaiServer(plain_models(20), page_size=5) as server:
        steps: list[SyncProgress] = []

        def stop(progress: SyncProgress) -> None:
            steps.append(progress)
            if len(steps) == 2:
                raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            await synced(database, server, on_progress=stop)
        assert len(stored(database)) == 10
        assert (await synced(database, server)).tally.models == 20


async def test_progress_says_what_is_known(database: CatalogDatabase) -> None:
    steps: list[SyncProgress] = []
    with CivitaiServer(plain_models(20), page_size=5) as server:
        await synced(database, server, on_progress=steps.append)
        assert [step.tally.models for step in steps] == [5, 10, 15, 20]
        assert [step.reached for step in steps] == [NOW - days * DAY for days in (4, 9, 14, 19)]
        assert (steps[0].until, steps[0].expected_models) == (None, None)
        steps.clear()
        server.drop(20)
        await synced(database, server, full=True, on_progress=steps.append)
        assert [step.expected_models for step in steps] == [20] * 5
        assert (steps[-1].phase, steps[-1].to_check, steps[-1].tally.checked) == ("checking", 1, 1)
        steps.clear()
        await synced(database, server, on_progress=steps.append)
        assert steps[0].until == NOW - 3 * DAY


async def test_a_date_at_the_end_of_time_is_none(database: CatalogDatabase) -> None:
    record = plain_model(1)
    record["modelVersions"][0]["publishedAt"] = "9999-12-31T23:59:59-23:00"
    steps: list[SyncProgress] = []
    with CivitaiServer([record]) as server:
        summary = await synced(database, server, on_progress=steps.append)
    assert (summary.outcome, summary.tally.added, steps[0].reached) == ("complete", 1, None)


async def test_what_was_set_aside_is_forgotten_once_it_can_be_read(database: CatalogDatabase) -> None:
    broken = [plain_model(1, type="Poses"), plain_model(2, type="Poses"), plain_model(20, type="Poses")]
    with CivitaiServer([*broken, plain_model(3)]) as server:
        assert (await synced(database, server)).tally.set_aside == 3
        server.put(plain_model(2))
        assert (await synced(database, server, full=True)).tally.set_aside == 2
    assert sorted(item.where for item in database.set_aside(10)) == [
        f"api/models/{number}: model {number}, version {number}0" for number in (1, 20)
    ]


def killed_after(server: CivitaiServer, folder: Path, count: int) -> bool:
    """Run a sync in a process of its own and kill it at a request; True when it came to its end before."""
    process: list[subprocess.Popen[bytes]] = []
    start = len(server.seen)

    def kill(seen: int) -> None:
        if process and seen - start == count:
            process[0].send_signal(signal.SIGKILL)

    server.after = kill
    command = [sys.executable, "-m", "tests.tool_specs.syncing.sync_process", server.url, str(folder)]
    process.append(subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL))
    ended = process[0].wait(timeout=60)
    server.after = lambda seen: None
    assert ended in (0, -signal.SIGKILL)
    return ended == 0


async def test_kill_9_at_any_moment_loses_nothing(tmp_path: Path) -> None:
    records = seeded_models(500, seed=11)
    ids, set_aside = expected(records)
    source = random.Random(11)
    kills = 0
    with CivitaiServer(records, page_size=3, fault_rate=0.1, seed=11) as server:
        while not killed_after(server, tmp_path, source.randint(2, 60)):
            kills += 1
            with CatalogDatabase.open(tmp_path, read_only=True) as database:
                seen = stored(database)
                assert seen <= ids
            await asyncio.sleep(0)
        assert kills >= 3
        # Each kill costs at most the two pages that were on their way.
        assert len({str(query) for query in server.listings}) == 167
        assert len(server.listings) <= 167 + sum(server.faults.values()) + 2 * kills
    with CatalogDatabase.open(tmp_path) as database:
        assert stored(database) == ids
        assert database.count().set_aside == set_aside
        assert names_of_notes(database) == ["last"]


async def test_real_records(database: CatalogDatabase, real_records: list[dict[str, Any]]) -> None:
    # The newest 134 come from many clients of several years; ids that several of them give are listed once.
    records = {int(record["id"]): record for record in [*real_records[:-134:20], *real_records[-134:]]}
    ids, set_aside = expected([*records.values()])
    with CivitaiServer(records.values(), page_size=10, fault_rate=0.1) as server:
        summary = await synced(database, server)
        assert (summary.tally.added, summary.tally.set_aside) == (len(ids), set_aside)
        assert stored(database) == ids
        assert (await synced(database, server, full=True)).tally.unchanged == len(ids)


@pytest.mark.slow
async def test_thousands_of_pages(database: CatalogDatabase) -> None:
    records = seeded_models(4000, seed=5, hours=1)
    ids, set_aside = expected(records)
    with CivitaiServer(records, page_size=2, fault_rate=0.15, seed=5) as server:
        summary = await synced(database, server)
        assert summary.tally.pages == 2000
        assert sum(server.faults.values()) > 200
        again = await synced(database, server)
        assert again.tally.pages < 50
    assert stored(database) == ids
    assert summary.tally.set_aside == set_aside
