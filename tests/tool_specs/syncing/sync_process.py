"""A sync as a program of its own, for tests that kill it.

Usage: python -m tests.tool_specs.syncing.sync_process URL FOLDER
"""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

from tool_specs.civitai.client import CivitaiClient
from tool_specs.store.database import CatalogDatabase
from tool_specs.syncing import SyncFilters, SyncSummary, sync

FILTERS = SyncFilters(types=(), rating="explicit")


async def run(url: str, folder: Path) -> SyncSummary:
    with CatalogDatabase.open(folder) as database:
        async with CivitaiClient(url, api_key="", interval=0, backoff=0.001) as client:
            return await sync(database, client, FILTERS)


if __name__ == "__main__":
    print(asyncio.run(run(sys.argv[1], Path(sys.argv[2]))).tally.model_dump_json())  # noqa: T201
