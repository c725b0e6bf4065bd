"""The steps of every store, one process after another, so that none has the memory or the cores of the others."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from statistics import median
from typing import Any, Final

from diffagent_tools.benchmarks.catalog.corpus import Corpus
from diffagent_tools.benchmarks.catalog.figures import Filling, Measured, Searching
from diffagent_tools.benchmarks.catalog.stores import CONTENDERS
from tool_specs.exceptions import DiffAgentError

OPENINGS: Final = 3
"""Processes that open a store, whose median counts …"""
SLOW: Final = 5.0
"""… unless the first one takes more than these seconds."""


def measure(stores: Sequence[str], folder: Path, corpus: Path, say: Callable[[str], None]) -> Iterator[Measured]:
    """Measure some stores.

    Args:
        stores: Their names.
        folder: Where each gets a folder of its own.
        corpus: The folder of the corpus.
        say: Told what is being done.

    Yields:
        The figures of each store as soon as they are there.

    Raises:
        DiffAgentError: A step failed.
    """
    sizes = Corpus(corpus)
    for store in stores:
        contender = CONTENDERS[store]
        if contender.lacking:
            say(f"{contender.title}: {contender.lacking}")
            yield Measured(store, sizes.specs, sizes.evidence, skipped=contender.lacking)
            continue
        place = folder / store
        place.mkdir()
        say(f"{contender.title}: filling it")
        build_s = _step("build", store, place, corpus)["build_s"]
        filling = Filling(build_s, sum(file.stat().st_size for file in place.rglob("*") if file.is_file()) / 1e6)
        searching = None
        if contender.searched:
            say(f"{contender.title}: opening, searching and changing it (filled in {build_s:.1f} s)")
            searching = _searching(store, place, corpus)
        yield Measured(store, sizes.specs, sizes.evidence, filling, searching)


def _searching(store: str, folder: Path, corpus: Path) -> Searching:
    openings = [_step("first", store, folder, corpus)["first_s"]]
    more = OPENINGS - 1 if openings[0] < SLOW else 0
    openings += [_step("first", store, folder, corpus)["first_s"] for _ in range(more)]
    return Searching(**_step("search", store, folder, corpus) | {"first_s": median(openings)})


def _step(step: str, store: str, folder: Path, corpus: Path) -> dict[str, Any]:
    command = (sys.executable, "-m", "diffagent_tools.benchmarks.catalog.trial", step, store, str(folder), str(corpus))
    environment = os.environ | {"OMP_NUM_THREADS": str(CONTENDERS[store].blas_threads), "LANCEDB_LOG": "error"}
    done = subprocess.run(command, env=environment, stdout=subprocess.PIPE, text=True, check=False)  # noqa: S603
    if done.returncode:
        msg = f"step {step!r} of {CONTENDERS[store].title} ended with {done.returncode}; what it wrote is above"
        raise DiffAgentError(msg)
    figures: dict[str, Any] = json.loads(done.stdout)
    return figures
