"""Rank the models for real requests, by the shortlist and by simple methods, and print a Markdown table.

The requests are in the folder that the environment variable DIFFAGENT_SHARED names, by default ../shared. Evidence is
the training pairs alone; the catalog, a temporary one, holds every model.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from rich.console import Console
from rich.progress import track

from diffagent_tools.benchmarks.shortlist.fitting import verdicts
from diffagent_tools.benchmarks.shortlist.report import OURS, fitting_lines, table
from diffagent_tools.benchmarks.shortlist.rivals import (
    Material,
    Rival,
    meaning_search,
    nearest_prompt,
    popularity,
    word_search,
)
from diffagent_tools.benchmarks.shortlist.scoring import DEPTH, figures
from diffagent_tools.benchmarks.shortlist.splits import KINDS, Task, data_folder, read_tasks
from tool_specs.exceptions import DiffAgentError
from tool_specs.importing import import_paths
from tool_specs.search.ranked import Query, RankedShortlister
from tool_specs.store.catalog import StoredCatalog
from tool_specs.store.database import CatalogDatabase

BLOCK: Final = 64
"""Requests that are answered at once, as `diffagent search --queries` does."""


def measure(data: Path, catalog: Path, progress: Console, *, minilm: bool) -> list[str]:
    """Import, ask everything, and say how it went.

    Args:
        data: The folder of real pairs and models.
        catalog: An empty folder.
        progress: Where to tell how far it has come.
        minilm: Whether to embed all models with MiniLM, which takes minutes.
    """
    tasks = read_tasks(data)
    with CatalogDatabase.open(catalog) as database:
        progress.log("importing")
        import_paths(database, [data / "models.jsonl.gz"], evidence=[data / "pairs-train.jsonl.gz"])
        shortlister = RankedShortlister(StoredCatalog(database))
        material = Material.of(database)
        methods: dict[str, Rival] = {
            "popularity": popularity(material),
            "BM25 on what is written": word_search(material),
            "nearest training prompt": nearest_prompt(material),
        }
        if minilm:
            texts = [asked.text for task in tasks for asked in task.asked]
            shown = partial(track, description="MiniLM", console=progress)
            methods["MiniLM on what is written"] = meaning_search(material, texts, shown)
        progress.log("asking the rivals")
        found = [(task, rivals(task, material, methods)) for task in tasks]
        progress.log("asking the shortlist")
        shortlister.index.view()
        started = time.perf_counter()
        answers = [ours(shortlister, task) for task in tasks]
        seconds = time.perf_counter() - started
        results = [
            (task, {name: figures(task.asked, ids) for name, ids in {**simple, OURS: own}.items()})
            for (task, simple), own in zip(found, answers, strict=True)
        ]
        progress.log("asking whether anything fits")
        asked = sum(len(task.asked) for task in tasks)
        return [
            table(results),
            "",
            f"The shortlist answers {asked / seconds:.0f} queries/s, {asked} in blocks of {BLOCK}.",
            *fitting_lines(verdicts(shortlister, tasks)),
        ]


def rivals(task: Task, material: Material, methods: Mapping[str, Rival]) -> dict[str, list[list[int]]]:
    """What each simple method finds for each request."""
    kind = KINDS[task.kind]
    return {
        name: [material.ranked(scores(asked.text), kind) for asked in task.asked] for name, scores in methods.items()
    }


def ours(shortlister: RankedShortlister, task: Task) -> list[list[int]]:
    """What the shortlist finds for each request."""
    queries = [Query(str(number), asked.text, task.kind) for number, asked in enumerate(task.asked)]
    return [[hit.model_id for hit in hits] for block in blocks(queries) for hits in shortlister.answer(block, DEPTH)]


def blocks(queries: Sequence[Query]) -> Iterable[Sequence[Query]]:
    """Queries, so many at a time."""
    return (queries[start : start + BLOCK] for start in range(0, len(queries), BLOCK))


def main() -> None:
    """Entry point."""
    parser = argparse.ArgumentParser(prog="python -m diffagent_tools.benchmarks.shortlist", description=__doc__)
    parser.add_argument("--without-minilm", action="store_true", help="skip the rival that takes minutes")
    options = parser.parse_args()
    with TemporaryDirectory(prefix="diffagent-bench-") as folder:
        try:
            lines = measure(data_folder(), Path(folder), Console(stderr=True), minilm=not options.without_minilm)
        except DiffAgentError as error:
            parser.error(str(error))
    print("\n".join(lines))  # noqa: T201 - the product


if __name__ == "__main__":
    main()
