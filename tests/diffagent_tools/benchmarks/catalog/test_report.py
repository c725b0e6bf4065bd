from __future__ import annotations

from dataclasses import replace

import pytest

from diffagent_tools.benchmarks.catalog.figures import Filling, Measured, Searching
from diffagent_tools.benchmarks.catalog.report import table
from diffagent_tools.benchmarks.catalog.stores import CONTENDERS, OURS, Contender

FILLING = Filling(build_s=10.0, disk_mb=200.0)
SEARCHING = Searching(
    first_s=0.5, p50_ms=4.0, p99_ms=8.0, queries=499, found=0.75, upsert_s=0.01, memory_mb=100.0
)  # fmt: skip
RIVAL = Measured("lancedb", 1000, 0, FILLING, SEARCHING)


def test_each_store_has_a_row_and_what_was_not_measured_is_a_dash() -> None:
    rows = table([RIVAL, Measured("rows", 1000, 0, FILLING)]).splitlines()
    assert rows[2].endswith("| 10.0 | 100 | 200 | 0.50 | 4.0 | 8.0 | 499 | 75% | 0.010 | 100 |")
    assert rows[3].count("–") == 7
    assert len(rows) == 4


def test_what_was_skipped_is_said_with_its_reason() -> None:
    text = table([RIVAL, Measured("sqlite", 1000, 0, skipped="pysqlite3 not installed: pip install --group bench")])
    assert "langgraph SqliteStore (vectors only) was skipped: pysqlite3 not installed" in text


def test_rivals_are_divided_by_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(CONTENDERS, OURS, Contender("ours", "all of it", ("ours", "Ours")))
    ours = replace(RIVAL, store=OURS, searching=replace(SEARCHING, p50_ms=1.0, memory_mb=50.0))
    ratios = table([ours, RIVAL]).splitlines()[-1]
    assert ratios.startswith("| LanceDB")
    assert "| 1.00× | 1.00× | 1.00× | 4.00× | 1.00× | 1.00× | 2.00× |" in ratios


def test_a_module_that_is_missing_is_named() -> None:
    assert "no_such_module not installed" in Contender("x", "y", ("z", "Z"), needs=("no_such_module",)).lacking
    assert not Contender("x", "y", ("z", "Z"), needs=("json",)).lacking
