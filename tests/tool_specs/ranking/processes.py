"""What other processes do with a catalog: `python -m tests.tool_specs.ranking.processes search FOLDER`."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

from tests.stored_models import prove, put, record
from tool_specs.search.ranked import RankedShortlister
from tool_specs.store.catalog import StoredCatalog
from tool_specs.store.database import CatalogDatabase

ROOT = Path(__file__).parents[3]
ROUNDS = 12


def search(folder: Path) -> None:
    """Search a hundred times, and say how many models there were at last."""
    with CatalogDatabase.open(folder, read_only=True) as database:
        shortlister = RankedShortlister(StoredCatalog(database))
        for _ in range(100):
            (first, *_) = shortlister.shortlist("a castle on a hill").hits
            assert first.spec.model_id == 1, first.spec.id
            time.sleep(0.005)
        sys.stdout.write(f"{shortlister.index.view().models.alive.sum()}\n")


def write(folder: Path) -> None:
    """Add, change and remove models, and add evidence, a transaction at a time."""
    with CatalogDatabase.open(folder) as database:
        for n in range(ROUNDS):
            put(database, record(100 + n, f"Lantern {n}", tags=["lantern"]), record(200, f"Windmill {n}"))
            prove(database, [(f"lantern number {n} in the fog", 100 + n)])
            if n % 2:
                with database.transaction() as writing:
                    writing.remove([f"civitai:{100 + n}@{1001 + 10 * n}"])
            time.sleep(0.02)


def start(task: str, folder: Path) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", __name__, task, str(folder)], cwd=ROOT, stdout=subprocess.PIPE, text=True
    )


if __name__ == "__main__":
    {"search": search, "write": write}[sys.argv[1]](Path(sys.argv[2]))
