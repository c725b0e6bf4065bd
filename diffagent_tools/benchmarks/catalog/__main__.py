"""Measure the stores and print their figures: JSON lines, then Markdown tables."""

from __future__ import annotations

import argparse
import json
from dataclasses import asdict
from pathlib import Path
from tempfile import TemporaryDirectory

from rich.console import Console

from diffagent_tools.benchmarks.catalog.generation import CHANGES, QUERIES, make_corpus
from diffagent_tools.benchmarks.catalog.report import table
from diffagent_tools.benchmarks.catalog.running import measure
from diffagent_tools.benchmarks.catalog.stores import CONTENDERS, CORES


def main() -> None:
    """Entry point."""
    parser = argparse.ArgumentParser(prog="python -m diffagent_tools.benchmarks.catalog", description=__doc__)
    parser.add_argument("--specs", type=int, default=75_000, help="how many")
    parser.add_argument("--evidence", type=int, help="prompts to search beside them; by default as many as specs")
    parser.add_argument("--store", action="append", choices=CONTENDERS, help="measure only this one; may be repeated")
    options = parser.parse_args()
    if options.specs < CHANGES:
        parser.error(f"--specs {options.specs} is too few: give {CHANGES} or more")
    evidence = options.specs if options.evidence is None else options.evidence
    progress = Console(stderr=True)
    with TemporaryDirectory(prefix="diffagent-bench-") as name:
        folder = Path(name)
        progress.log(f"making up {options.specs:,} specs, {evidence:,} prompts and {QUERIES} queries")
        make_corpus(folder / "corpus", specs=options.specs, evidence=evidence)
        results = []
        for result in measure(options.store or list(CONTENDERS), folder, folder / "corpus", progress.log):
            print(json.dumps(asdict(result)), flush=True)  # noqa: T201 - the product
            results.append(result)
    print(f"\n{options.specs:,} specs and {evidence:,} prompts, {CORES} cores; vectors are given, none is computed.\n")  # noqa: T201
    print(table(results))  # noqa: T201


if __name__ == "__main__":
    main()
