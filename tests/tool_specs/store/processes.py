"""What other processes do with a catalog: `python -m tests.tool_specs.store.processes write FOLDER`."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

from tool_specs.civitai.recommended import recommended_of
from tool_specs.spec import ToolSpec
from tool_specs.store.database import CatalogDatabase

ROOT = Path(__file__).parents[3]
PAGE = 7
"""Specs of one transaction."""


def numbered_spec(model_id: int, round_number: int = 0) -> ToolSpec:
    return ToolSpec(
        id=f"civitai:{model_id}@{model_id + 100}",
        model_id=model_id,
        version_id=model_id + 100,
        model_name=f"Model {model_id}",
        version_name=str(round_number),
        type="Checkpoint",
        base_model="Pocket",
        family="pocket",
        recommended=recommended_of("Pocket", [], model_type="Checkpoint"),
    )


def write(folder: Path) -> None:
    """Page after page for ever: `PAGE` new specs, and the first page again; what is committed is said aloud."""
    with CatalogDatabase.open(folder) as database:
        page = 0
        while True:
            page += 1
            with database.transaction() as writing:
                writing.put_specs((numbered_spec(page * PAGE + n) for n in range(PAGE)), origin="api")
                writing.put_specs((numbered_spec(n + 1, page) for n in range(PAGE - 1)), origin="api")
                writing.put_note("page", page)
            sys.stdout.write(f"{page}\n")
            sys.stdout.flush()


def read(folder: Path) -> None:
    """Look at the catalog for two seconds; fails where a transaction is seen in part."""
    seen = set()
    with CatalogDatabase.open(folder, read_only=True) as database:
        until = time.monotonic() + 2
        last = database.version
        while time.monotonic() < until:
            version = database.version
            assert version >= last
            last = version
            held = database.count().specs
            assert held == 0 or held % PAGE == PAGE - 1, held
            rounds = {
                spec.version_name for spec in database.specs([f"civitai:{n + 1}@{n + 101}" for n in range(6)]).values()
            }
            assert len(rounds) <= 1, rounds
            seen |= rounds
    sys.stdout.write(f"{len(seen)}\n")


def make(folder: Path) -> None:
    """Open the catalog at the same time as others do, and put one page into it."""
    with CatalogDatabase.open(folder) as database, database.transaction() as writing:
        first = os.getpid() * PAGE
        writing.put_specs((numbered_spec(first + n) for n in range(PAGE)), origin="api")


def start(task: str, folder: Path) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", __name__, task, str(folder)],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        text=True,
    )


if __name__ == "__main__":
    {"write": write, "read": read, "make": make}[sys.argv[1]](Path(sys.argv[2]))
