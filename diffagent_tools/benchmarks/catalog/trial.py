"""One step of one store, in a process of its own: `python -m diffagent_tools.benchmarks.catalog.trial STEP STORE …`."""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Final

import numpy as np

from diffagent_tools.benchmarks.catalog.corpus import Corpus, Entry
from diffagent_tools.benchmarks.catalog.figures import Searching
from diffagent_tools.benchmarks.catalog.stores import CONTENDERS, CORES
from diffagent_tools.benchmarks.catalog.stores.protocol import Searched
from diffagent_tools.benchmarks.memory import memory_mb, most_memory_mb
from tool_specs.exceptions import DiffAgentError
from tool_specs.naming import model_id_of

K: Final = 10
"""How many specs a search is for."""
MORE: Final = 50
"""How many a changed spec must be among: in fusion, what two rankings hold low down beats the first of one."""
PATIENCE: Final = 90.0
"""Seconds of searching after which a slow store has answered enough …"""
LEAST: Final = 20
"""… as long as it has answered this many queries."""


def build(store: str, folder: Path, corpus: Corpus) -> dict[str, float]:
    """Fill the store; the seconds it took."""
    filled = CONTENDERS[store].load()(folder, corpus)
    start = time.perf_counter()
    filled.build()
    return {"build_s": time.perf_counter() - start}


def first(store: str, folder: Path, corpus: Corpus) -> dict[str, float]:
    """Open it and search once; the seconds that both took."""
    opened = CONTENDERS[store].load_searched()(folder, corpus)
    query = corpus.queries()[0]
    start = time.perf_counter()
    opened.open()
    opened.search(query.text, query.vector, K)
    return {"first_s": time.perf_counter() - start}


def search(store: str, folder: Path, corpus: Corpus) -> dict[str, float]:
    """Open it, search, and change it."""
    opened = CONTENDERS[store].load_searched()(folder, corpus)
    queries, changes = corpus.queries(), corpus.changes()
    before = memory_mb()
    start = time.perf_counter()
    opened.open()
    opened.search(queries[0].text, queries[0].vector, K)
    first_s = time.perf_counter() - start
    seconds, found = _answers(opened, queries[1:])
    most = most_memory_mb()
    upserts = [_upsert(opened, spec) for spec in changes]
    opened.close()
    p50, p99 = np.percentile(seconds, (50, 99)) * 1000
    return asdict(
        Searching(
            first_s=first_s,
            p50_ms=float(p50),
            p99_ms=float(p99),
            queries=len(seconds),
            found=sum(found) / len(found),
            upsert_s=float(np.median(upserts)),
            memory_mb=most - before,
        )
    )


def _answers(store: Searched, queries: Sequence[Entry]) -> tuple[list[float], list[bool]]:
    """For each query the seconds, and whether a version of the model it was made for was found."""
    seconds: list[float] = []
    found: list[bool] = []
    for query in queries:
        start = time.perf_counter()
        ids = store.search(query.text, query.vector, K)
        seconds.append(time.perf_counter() - start)
        found.append(model_id_of(query.id) in map(model_id_of, ids))
        if sum(seconds) > PATIENCE and len(seconds) >= LEAST:
            break
    return seconds, found


def _upsert(store: Searched, spec: Entry) -> float:
    """Seconds until the changed spec is found."""
    start = time.perf_counter()
    store.upsert(spec)
    ids = store.search(spec.text.split()[0], spec.vector, MORE)
    seconds = time.perf_counter() - start
    if model_id_of(spec.id) not in map(model_id_of, ids):
        msg = f"{spec.id} was changed, and a search for its new name and vector does not find it; mend the store"
        raise DiffAgentError(msg)
    return seconds


STEPS: Final[dict[str, Callable[[str, Path, Corpus], dict[str, float]]]] = {
    "build": build,
    "first": first,
    "search": search,
}


def main() -> None:
    """Do the step and print its figures as JSON."""
    step, store, folder, corpus = sys.argv[1:]
    if hasattr(os, "sched_setaffinity"):
        # Libraries that count the cores themselves see no more of them than the others may use.
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:CORES])
    print(json.dumps(STEPS[step](store, Path(folder), Corpus(Path(corpus)))))  # noqa: T201 - read by `running`


if __name__ == "__main__":
    main()
